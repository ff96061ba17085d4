"""make bench: how soon orders are paid and claimed, beside a bot that does one thing at a time.

    python -m tests.bench            # everything
    BENCH_QUICK=1 python -m tests.bench   # a few orders, under 3 minutes
    python -m tests.bench --json FILE

Everything is real: the whole product, Postgres, local chains with interval mining, an L2 with a
block a second. Times are taken on the chains, from the order's L2 block to the L1 block with its
transfer or claim. Seconds are this machine's; ratios and blocks are the result.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import deploy_all
from mmbot_pipelines.devnet.stack import Stack
from tests.bench.cpu import cpu_seconds
from tests.bench.observer import Observer, SeenOrder
from tests.bench.serial_bot import SerialBot

QUICK = bool(os.environ.get("BENCH_QUICK"))
SINGLES, BURST, LARGE_BURST = (3, 30, 60) if QUICK else (20, 30, 300)
_BLOCK_SECONDS = (2,) if QUICK else (2, 12)
_WAIT_SECONDS = 300.0
_L2_BLOCK_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure, and what it has to reach."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def missed(self) -> bool:
        too_high = self.at_most is not None and self.value > self.at_most
        return too_high or (self.at_least is not None and self.value < self.at_least)

    def line(self) -> str:
        floor = f"at most {self.at_most:g}" if self.at_most is not None else ""
        floor = f"at least {self.at_least:g}" if self.at_least is not None else floor
        verdict = "MISSED" if self.missed else "met" if floor else ""
        return f"{self.name:58} {self.value:9.2f} {self.unit:6}  {floor:13} {verdict}".rstrip()


def main() -> None:
    """Measure, print the table, write the JSON; exit with 1 where a floor is not met."""
    parser = argparse.ArgumentParser(description="Measure the product beside a serial baseline.")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    figures: list[Figure] = []
    for seconds in _BLOCK_SECONDS:
        with serial_chains(seconds) as observer:
            baseline = singles(observer, seconds, f"serial, L1 {seconds} s")
        with product(seconds) as (observer, stack):
            figures += measured(observer, stack, seconds, baseline)
        with product(seconds, {"MMBOT_CLAIM": "with_transfer"}) as (observer, _):
            figures += with_transfer(observer, seconds)
    print(machine())
    print("\n".join(figure.line() for figure in figures))
    if given.json:
        rows = {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    sys.exit(any(figure.missed for figure in figures))


def measured(
    observer: Observer, stack: Stack, seconds: int, baseline: Sequence[SeenOrder]
) -> Iterator[Figure]:
    """Yield the figures of the product at one block time of L1, in seconds."""
    at = f"L1 {seconds} s"
    observer.await_claims(observer.place(2), _WAIT_SECONDS)  # what starts once has started
    before = cpu_seconds(pids(stack))
    ours = singles(observer, seconds, at)
    yield from _singles(at, seconds, ours, baseline)
    cpu = (cpu_seconds(pids(stack)) - before) / len(ours)
    yield Figure(name=f"{at}: CPU of a single order", value=cpu, unit="s", at_most=0.8)
    before = cpu_seconds(pids(stack))
    orders = observer.place(BURST)
    observer.await_claims(orders, _WAIT_SECONDS)
    yield from _burst(at, orders)
    cpu = (cpu_seconds(pids(stack)) - before) / len(orders)
    yield Figure(name=f"{at}: CPU an order of {BURST}", value=cpu, unit="s", at_most=0.1)
    orders = observer.place(LARGE_BURST)
    observer.await_claims(orders, 2 * _WAIT_SECONDS)
    blocks = _span(o.transfer_block for o in orders)
    yield Figure(
        name=f"{at}: burst of {LARGE_BURST}, all transfers",
        value=blocks,
        unit="blocks",
        at_most=2 if seconds > 2 else None,
    )


def with_transfer(observer: Observer, seconds: int) -> Iterator[Figure]:
    """Yield the figures of claims that are stored with their transfers."""
    at = f"L1 {seconds} s, with_transfer"
    observer.await_claims(observer.place(1), _WAIT_SECONDS)  # the first follows its transfer
    ours = singles(observer, seconds, at)
    same = 100 * statistics.mean(o.claim_block == o.transfer_block for o in ours)
    yield Figure(name=f"{at}: claim in its transfer's block", value=same, unit="%", at_least=95)
    to_claim = statistics.median(o.claim_at - o.set_at for o in ours)
    yield Figure(name=f"{at}: single order, set to claim mined", value=to_claim, unit="s")


def singles(observer: Observer, seconds: int, label: str) -> list[SeenOrder]:
    """Place orders one after the other, each at a random time within a block of L1."""
    rng = random.Random(seconds)
    found = []
    for number in range(SINGLES):
        print(f"{label}: single order {number + 1} of {SINGLES}", file=sys.stderr)
        time.sleep(rng.uniform(0, seconds))
        orders = observer.place(1)
        observer.await_claims(orders, _WAIT_SECONDS)
        found += orders
    return found


def _singles(
    at: str, seconds: int, ours: Sequence[SeenOrder], baseline: Sequence[SeenOrder]
) -> Iterator[Figure]:
    to_transfer, serial = _median_to_transfer(ours), _median_to_transfer(baseline)
    name = f"{at}: single order, set to transfer mined"
    yield Figure(name=name, value=to_transfer, unit="s", at_most=seconds / 2 + 1)
    ratio = to_transfer / serial
    yield Figure(name=f"{name}, of serial", value=ratio, unit="x", at_most=0.6)
    to_claim = statistics.median(o.claim_at - o.set_at for o in ours)
    theirs = statistics.median(o.claim_at - o.set_at for o in baseline)
    yield Figure(name=f"{at}: single order, set to claim mined", value=to_claim, unit="s")
    yield Figure(name=f"{at}: the same, of serial", value=to_claim / theirs, unit="x")
    next_block = statistics.mean(o.claim_block - o.transfer_block <= 1 for o in ours)
    yield Figure(
        name=f"{at}: claim in the block after the transfer or in it",
        value=100 * next_block,
        unit="%",
        at_least=95,
    )


def _burst(at: str, orders: Sequence[SeenOrder]) -> Iterator[Figure]:
    name = f"{at}: burst of {len(orders)}"
    transfers = _span(o.transfer_block for o in orders)
    claims = _span(o.claim_block for o in orders)
    first = min(o.transfer_at - o.set_at for o in orders)
    yield Figure(name=f"{name}, transfers", value=transfers, unit="blocks", at_most=1)
    yield Figure(name=f"{name}, claims", value=claims, unit="blocks", at_most=2)
    at_most = 2.5 if "L1 2 s" in at else None
    yield Figure(name=f"{name}, first transfer", value=first, unit="s", at_most=at_most)
    last = max(o.claim_at - o.set_at for o in orders)
    yield Figure(name=f"{name}, last claim", value=last, unit="s")


def _median_to_transfer(orders: Sequence[SeenOrder]) -> float:
    return statistics.median(order.transfer_at - order.set_at for order in orders)


def _span(blocks: Iterator[int]) -> int:
    """Return how many blocks there are from the first to the last, both counted."""
    numbers = list(blocks)
    return max(numbers) - min(numbers) + 1


def pids(stack: Stack) -> list[int]:
    """Return the processes of the product; its Postgres, not the chains and the messenger."""
    ours = [service.pid for service in stack.services.services if service.name != "messenger"]
    return [*ours, stack.postmaster] if stack.postmaster else ours


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


def machine() -> str:
    """Return one line that says what this was measured on."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
