"""Which run launcher Dagster uses: `dagster_home/dagster.yaml` names `Launcher`."""

import logging
from typing import Any

from mmbot_pipelines.defs.shared.dagster_internals import (
    ConfigurableClass,
    ConfigurableClassData,
    DefaultRunLauncher,
    RunLauncher,
)
from mmbot_pipelines.settings import load_broker

_log = logging.getLogger(__name__)
_NO_BROKER = (
    "MMBOT_BROKER_URL is not set: each run starts a process of its own, which takes 2 to 4 seconds "
    "and as many CPU seconds; with a broker and `mmbot workers` a run begins in 0.3 seconds"
)


class Launcher(RunLauncher, ConfigurableClass):
    """The choice of the launcher; no object of this class is ever made."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the configuration in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> RunLauncher:
        """Return the launcher of warm runs where a broker is named, else Dagster's default one.

        Raises:
            InvalidSettings: MMBOT_BROKER_URL is no broker's.
        """
        broker = load_broker()
        if broker.url is None:
            _log.warning(_NO_BROKER)
            return DefaultRunLauncher(inst_data=inst_data)
        # A process without a broker needs no Celery, which takes a fifth of a second to import.
        from mmbot_pipelines.defs.warm_runs import WarmRunLauncher  # noqa: PLC0415

        return WarmRunLauncher.of(broker, inst_data)
