"""The bridge's Dagster definitions."""

import sys

import dagster as dg

from mmbot_pipelines.defs.bridge import (
    alerts,
    daemons,
    failed_orders,
    failed_runs,
    orders,
    resources,
    safety,
    schedules,
)
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring.bridge import bridge, refuse_losing_settings

# Words of the command lines of processes that execute runs.
_RUN_PROCESSES = frozenset({"execute_run", "mmbot_pipelines.worker"})


def require_settings() -> None:
    """Read and check what the bridge needs of the environment.

    Raises:
        InvalidSettings: see `settings.load`.
    """
    resources.settings()


def definitions() -> dg.Definitions:
    """Return the bridge's definitions, for the settings that the environment gives.

    Raises:
        InvalidSettings: see `settings.load` and `refuse_losing_settings`.
    """
    settings = resources.settings()
    if not _RUN_PROCESSES.intersection(sys.argv):  # of these the code server has asked
        refuse_losing_settings(settings)
    return merged(settings)


def warm_up() -> None:
    """Wire the bridge, and open its database.

    Raises:
        InvalidSettings, StoreUnavailable: see `wiring.bridge.bridge`.
    """
    bridge(resources.settings()).store.orders.get([])


def merged(settings: Settings) -> dg.Definitions:
    """Return the bridge's definitions for these settings, without reading the environment."""
    return dg.Definitions.merge(
        orders.definitions(settings.origins, settings.execution.max_runs_per_tick),
        failed_runs.definitions,
        failed_orders.definitions,
        schedules.definitions,
        safety.definitions,
        alerts.definitions,
        daemons.definitions,
        dg.Definitions(
            resources={
                "bridge": resources.BridgeResource(),
                "alert_service": resources.AlertServiceResource(),
            },
        ),
    )
