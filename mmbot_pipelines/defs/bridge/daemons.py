"""Who keeps Dagster's clock, as its own heartbeats tell.

daemons   every 5 s: notes which daemons live, and says when there are two

Dagster keeps only the newest heartbeat of each kind of daemon, whoever wrote it: two
processes overwrite each other's by turns, and who looks often enough sees both.
"""

from datetime import UTC, datetime

import dagster as dg

from mmbot_pipelines.bridge.alerting.rules import concurrent_daemons_alert
from mmbot_pipelines.core.daemons import HEARTBEAT_TIMEOUT, concurrent_daemons
from mmbot_pipelines.defs.bridge.alerts import AlertService
from mmbot_pipelines.defs.shared.operator_errors import operator_errors


@dg.sensor(
    name="daemons",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notes which daemons live on this database, and says when there are two.",
)
@operator_errors()
def daemons(context: dg.SensorEvaluationContext, alert_service: AlertService) -> dg.SkipReason:
    for beat in context.instance.get_daemon_heartbeats().values():
        if beat.daemon_id is not None:
            at = datetime.fromtimestamp(beat.timestamp, UTC)
            alert_service.daemons.record_heartbeat(beat.daemon_id, at=at)
    known = alert_service.daemons.alive_since(datetime.now(UTC) - HEARTBEAT_TIMEOUT)
    both = concurrent_daemons(known)
    if both:
        alert = concurrent_daemons_alert(both)
        context.log.warning(f"{alert.title}\n{alert.text}")
        return dg.SkipReason(f"[{alert.severity}] {alert.title}: {alert.text}")
    return dg.SkipReason("one daemon at work" if known else "no daemon was heard yet")


definitions = dg.Definitions(sensors=[daemons])
