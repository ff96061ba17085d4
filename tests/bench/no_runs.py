"""A launcher that starts no process: a run has ended when it is launched.

Its orders stay where they are, so that only what asks for runs is measured. The daemon imports
this module: it stays small.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterInstance
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.base import RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class NoRuns(RunLauncher[DagsterInstance], ConfigurableClass):
    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    def launch_run(self, context: LaunchRunContext) -> None:
        self._instance.report_run_canceled(context.dagster_run)

    def terminate(self, run_id: str) -> bool:
        return False
