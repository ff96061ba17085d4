"""Dagster's compute logs without the capture of what runs print."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from mmbot_pipelines.defs.shared.dagster_internals import (
    CapturedLogContext,
    ConfigurableClassData,
    LocalComputeLogManager,
)
from mmbot_pipelines.settings import load_database

_FOLDER = "storage"  # in DAGSTER_HOME, where Dagster keeps them by default


class RunLogs(LocalComputeLogManager):
    """The logs of ticks, in files. `dagster_home/dagster.yaml` names it.

    Dagster starts four processes for each step to capture what it prints. Ours print nothing:
    they log events, which the storage keeps.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the configuration in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Open the folder of logs below DAGSTER_HOME."""
        home = load_database().dagster_home or Path(".mmbot").resolve()
        return cls(base_dir=str(home / _FOLDER), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Run the body; what it prints goes where this process prints."""
        yield CapturedLogContext(log_key)
