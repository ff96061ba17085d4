"""The running product for measurements: without runs, and its RPC calls counted."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.chaos.faulty_stack import FaultyStack

POLLING = {"MMBOT_L1_WS_URLS": "", "MMBOT_ZKSYNC_WS_URLS": ""}  # settings
_CHAINS = ("L1", "ZKSYNC", "STARKNET")


class QuietStack(FaultyStack):
    """A stack without runs, behind nodes that never fail."""

    def _environ(self) -> dict[str, str]:
        # for the launcher of no runs
        return {**super()._environ(), "PYTHONPATH": str(PACKAGE_ROOT)}

    def _prepare_home(self) -> None:
        super()._prepare_home()
        path = self.dagster_home / "dagster.yaml"
        config = yaml.safe_load(path.read_text())
        config["run_launcher"] = {"module": "tests.bench.no_runs", "class": "NoRuns"}
        path.write_text(yaml.safe_dump(config))


@contextmanager
def quiet_stack(origins: Sequence[str], settings: Mapping[str, str]) -> Iterator[QuietStack]:
    """Start a stack with one counting node for each chain."""
    with (
        tempfile.TemporaryDirectory(prefix="mmbot-bench-", ignore_cleanup_errors=True) as home,
        QuietStack(
            Path(home), origins=origins, nodes=1, chains=_CHAINS, settings=settings
        ) as stack,
    ):
        yield stack
