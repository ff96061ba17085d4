"""What is measured, on local chains that mine steadily: the whole product, or the baseline."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import deploy_all
from mmbot_pipelines.devnet.stack import Stack
from tests.bench.observer import Observer
from tests.bench.serial_bot import SerialBot

_L2_BLOCK_SECONDS = 1


@contextmanager
def serial_chains(seconds: int) -> Iterator[Observer]:
    """Start chains with the baseline on them."""
    with Anvil(chain_id=31337) as l1, Anvil(chain_id=31338) as l2:
        deployment = deploy_all(l1.url, l2.url)
        for chain, interval in ((l1, seconds), (l2, _L2_BLOCK_SECONDS)):
            ask(connect(chain.url), "evm_setIntervalMining", interval)
        with SerialBot(deployment), Observer(deployment) as observer:
            yield observer


@contextmanager
def product(
    seconds: int, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Observer, Stack]]:
    """Start the whole product."""
    with ExitStack() as cleanup:
        home = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        stack = cleanup.enter_context(
            Stack(
                home,
                l1_block_seconds=seconds,
                l2_block_seconds=_L2_BLOCK_SECONDS,
                settings=settings,
                log_start=lambda name: print(f"starting {name}", file=sys.stderr),
            )
        )
        yield cleanup.enter_context(Observer(stack.deployment)), stack
