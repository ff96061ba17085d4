"""What Dagster loads."""

import dagster as dg

from mmbot_pipelines.defs import bridge, upkeep
from mmbot_pipelines.settings import load
from mmbot_pipelines.wiring import bridge as wired

settings = load()


@dg.resource(description="The bridge, wired from the environment once per process.")
def bridge_resource(_: dg.InitResourceContext) -> object:
    return wired(settings)


defs = dg.Definitions.merge(
    bridge.definitions(settings.origins, settings.pace.max_runs_per_tick),
    upkeep.definitions,
    dg.Definitions(resources={"bridge": bridge_resource}),
)
