"""What Dagster loads. Importing it reads no environment; `defs` does when Dagster calls it."""

import sys
import warnings
from functools import cache

import dagster as dg

from mmbot_pipelines.defs import alerts, bridge, daemons, resources, retention, safety, upkeep
from mmbot_pipelines.defs.plain import InWords, plain_failures
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.settings.home import require_home
from mmbot_pipelines.wiring import refuse_another_registry


@dg.definitions
@cache  # Dagster calls it several times in one process
def defs() -> dg.Definitions:
    """Return all definitions, for the settings that the environment gives.

    Raises:
        InWords: the settings cannot work.
    """
    # Dagster warns of a call of its own, in the log of every run.
    warnings.filterwarnings("ignore", "Parameter `owners` of", dg.BetaWarning)
    try:
        with plain_failures():
            settings = resources.settings()
            require_home(settings.database.dagster_home)
            if "execute_run" not in sys.argv:  # a run's process: the code server has asked
                refuse_another_registry(settings)
    except InWords:
        sys.tracebacklimit = 0  # the code server ends here, and would print its whole way
        raise
    return merged(settings)


def merged(settings: Settings) -> dg.Definitions:
    """Return all definitions for these settings; reads nothing else."""
    return dg.Definitions.merge(
        bridge.definitions(settings.origins, settings.pace.max_runs_per_tick),
        upkeep.definitions,
        safety.definitions,
        alerts.definitions,
        daemons.definitions,
        retention.definitions(settings.database.keep_runs_days),
        dg.Definitions(
            resources={
                "bridge": resources.BridgeResource(),
                "watch": resources.WatchResource(),
                "io_manager": resources.NoOutputs(),
            },
            # of jobs that Dagster makes itself: the UI's Materialize would start one process a step
            executor=dg.in_process_executor,
        ),
    )
