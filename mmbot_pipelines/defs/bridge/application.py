"""The bridge's Dagster definitions."""

import sys
from datetime import UTC, date, datetime

import dagster as dg

from mmbot_pipelines.defs.bridge import (
    alerts,
    assets,
    checks,
    daemons,
    failed_orders,
    failed_runs,
    order_history,
    orders,
    overview,
    reports,
    resources,
    safety,
    schedules,
)
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring.bridge import bridge, first_day, refuse_losing_settings

# Words of the command lines of processes that execute runs.
_RUN_PROCESSES = frozenset({"execute_run", "mmbot_pipelines.worker"})
_ANY_DAY = date(2015, 7, 30)  # of a run's process, whose day is given: no order is older


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
    if _RUN_PROCESSES.intersection(sys.argv):  # the code server has asked before
        return merged(settings, _ANY_DAY)
    refuse_losing_settings(settings)
    return merged(settings, first_day(settings) or datetime.now(UTC).date())


def warm_up() -> None:
    """Wire the bridge, and open its database.

    Raises:
        InvalidSettings, StoreUnavailable: see `wiring.bridge.bridge`.
    """
    bridge(resources.settings()).store.orders.get([])


def merged(settings: Settings, first_day: date) -> dg.Definitions:
    """Return the bridge's definitions for these settings, without reading the environment.

    first_day: the first one that can be reported.
    """
    return dg.Definitions.merge(
        orders.definitions(settings.origins, settings.execution.max_runs_per_tick),
        failed_runs.definitions,
        failed_orders.definitions,
        order_history.definitions,
        schedules.definitions,
        safety.definitions,
        alerts.definitions,
        daemons.definitions,
        reports.definitions(first_day, settings.origins),
        overview.definitions,
        assets.definitions(settings.origins),
        checks.definitions(settings.origins),
        dg.Definitions(
            resources={
                "bridge": resources.BridgeResource(),
                "alert_service": resources.AlertServiceResource(),
                "daily_reports": resources.DailyReportsResource(),
                "read_overview": resources.OverviewResource(),
                "auditor": resources.AuditorResource(),
            },
        ),
    )
