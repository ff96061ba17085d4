"""Who keeps Dagster's clock, as its own heartbeats tell.

daemons   every 5 s: notes which daemons live, and says when there are two

Dagster keeps only the newest heartbeat of each kind of daemon, whoever wrote it: two
processes overwrite each other's by turns, and who looks often enough sees both.
"""

from datetime import UTC, datetime

import dagster as dg

from mmbot_pipelines.bridge.conditions import two_daemons
from mmbot_pipelines.core.daemons import ALIVE, at_once
from mmbot_pipelines.defs.alerts import Watch
from mmbot_pipelines.defs.plain import plain_failures


@dg.sensor(
    name="daemons",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notes which daemons live on this database, and says when there are two.",
)
@plain_failures()
def daemons(context: dg.SensorEvaluationContext, watch: Watch) -> dg.SkipReason:
    for beat in context.instance.get_daemon_heartbeats().values():
        if beat.daemon_id is not None:
            at = datetime.fromtimestamp(beat.timestamp, UTC)
            watch.daemons.heard(beat.daemon_id, at=at)
    known = watch.daemons.since(datetime.now(UTC) - ALIVE)
    both = at_once(known)
    if both:
        alert = two_daemons(both)
        context.log.warning(f"{alert.title}\n{alert.text}")
        return dg.SkipReason(f"[{alert.severity}] {alert.title}: {alert.text}")
    return dg.SkipReason("one daemon at work" if known else "no daemon was heard yet")


definitions = dg.Definitions(sensors=[daemons])
