"""What Dagster loads."""

import sys
import warnings

import dagster as dg

from mmbot_pipelines.defs import alerts, bridge, daemons, retention, safety, upkeep
from mmbot_pipelines.defs.plain import InWords, plain_failures
from mmbot_pipelines.defs.storage import require_ours
from mmbot_pipelines.settings import load
from mmbot_pipelines.settings.home import require_home
from mmbot_pipelines.wiring import bridge as wired
from mmbot_pipelines.wiring import refuse_another_registry, watch

# Dagster warns of a call of its own, in the log of every run.
warnings.filterwarnings("ignore", "Parameter `owners` of", dg.BetaWarning)

try:
    with plain_failures():
        settings = load()
        require_home(settings.database.dagster_home)
        if "execute_run" not in sys.argv:  # a run's process: the code server has asked
            refuse_another_registry(settings)
except InWords:
    sys.tracebacklimit = 0  # the code server ends here, and would print its whole way
    raise


# No run takes configuration that Dagster would read from the environment, where the wallet's
# key is: resources and outputs take none at all (Dagster's own output manager takes a folder).
@dg.resource(
    config_schema={}, description="The bridge, wired from the environment once per process."
)
@plain_failures()
def bridge_resource(context: dg.InitResourceContext) -> object:
    require_ours(context.instance)
    return wired(settings)


@dg.resource(
    config_schema={},
    description="Who tells the operator, wired from the environment once per process.",
)
@plain_failures()
def watch_resource(context: dg.InitResourceContext) -> object:
    require_ours(context.instance)
    return watch(settings)


@dg.io_manager(config_schema={}, description="Keeps nothing: our ops hand nothing on.")
def no_outputs(_: dg.InitResourceContext) -> dg.IOManager:
    return dg.InMemoryIOManager()  # type: ignore[no-untyped-call]


defs = dg.Definitions.merge(
    bridge.definitions(settings.origins, settings.pace.max_runs_per_tick),
    upkeep.definitions,
    safety.definitions,
    alerts.definitions,
    daemons.definitions,
    retention.definitions(settings.database.keep_runs_days),
    dg.Definitions(
        resources={
            "bridge": bridge_resource,
            "watch": watch_resource,
            "io_manager": no_outputs,
        },
        # of jobs that Dagster makes itself: the UI's Materialize would start one process a step
        executor=dg.in_process_executor,
    ),
)
