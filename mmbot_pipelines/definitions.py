"""What Dagster loads. Importing it reads no environment; `defs` does when Dagster calls it."""

import sys
import warnings
from functools import cache

import dagster as dg

from mmbot_pipelines.defs.bridge import alerts, daemons, orders, recovery, resources, safety
from mmbot_pipelines.defs.shared import retention
from mmbot_pipelines.defs.shared.operator_errors import OperatorError, operator_errors
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.settings.home import require_home
from mmbot_pipelines.wiring.bridge import refuse_another_registry


@dg.definitions
@cache  # Dagster calls it several times in one process
def defs() -> dg.Definitions:
    """Return all definitions, for the settings that the environment gives.

    Raises:
        OperatorError: the settings cannot work.
    """
    # Dagster warns of a call of its own, in the log of every run.
    warnings.filterwarnings("ignore", "Parameter `owners` of", dg.BetaWarning)
    try:
        with operator_errors():
            settings = resources.settings()
            require_home(settings.database.dagster_home)
            if "execute_run" not in sys.argv:  # a run's process: the code server has asked
                refuse_another_registry(settings)
    except OperatorError:
        sys.tracebacklimit = 0  # the code server ends here, and would print its whole way
        raise
    return merged(settings)


def merged(settings: Settings) -> dg.Definitions:
    """Return all definitions for these settings; reads nothing else."""
    return dg.Definitions.merge(
        orders.definitions(settings.origins, settings.execution.max_runs_per_tick),
        recovery.definitions,
        safety.definitions,
        alerts.definitions,
        daemons.definitions,
        retention.definitions(settings.database.run_retention_days),
        dg.Definitions(
            resources={
                "bridge": resources.BridgeResource(),
                "alert_service": resources.AlertServiceResource(),
                "io_manager": resources.NoOutputs(),
            },
            # of jobs that Dagster makes itself: the UI's Materialize would start one process a step
            executor=dg.in_process_executor,
        ),
    )
