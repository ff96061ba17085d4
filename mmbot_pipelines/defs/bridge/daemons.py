"""Detection of two Dagster daemons on one database, by their heartbeats.

daemons   every 10 s: records which daemons are alive, and warns when there are two

Dagster stores one heartbeat for each kind of daemon. Two daemons overwrite each other's in
turn, so a sensor that reads it often enough sees the ids of both.
"""

from datetime import UTC, datetime

import dagster as dg

from mmbot_pipelines.bridge.alerting.rules import concurrent_daemons_alert
from mmbot_pipelines.core.daemons import HEARTBEAT_TIMEOUT, concurrent_daemons
from mmbot_pipelines.defs.bridge.alerts import AlertService
from mmbot_pipelines.defs.shared.operator_errors import operator_errors


@dg.sensor(
    name="daemons",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records which daemons use this database, and warns when there are two.",
)
@operator_errors()
def daemons(context: dg.SensorEvaluationContext, alert_service: AlertService) -> dg.SkipReason:
    newest: dict[str, float] = {}  # of all kinds of a daemon
    for beat in context.instance.get_daemon_heartbeats().values():
        if beat.daemon_id is not None:
            newest[beat.daemon_id] = max(beat.timestamp, newest.get(beat.daemon_id, 0.0))
    for daemon_id, timestamp in newest.items():
        at = datetime.fromtimestamp(timestamp, UTC)
        alert_service.daemons.record_heartbeat(daemon_id, at=at)
    known = alert_service.daemons.alive_since(datetime.now(UTC) - HEARTBEAT_TIMEOUT)
    both = concurrent_daemons(known)
    if both:
        alert = concurrent_daemons_alert(both)
        context.log.warning(f"{alert.title}\n{alert.text}")
        return dg.SkipReason(f"[{alert.severity}] {alert.title}: {alert.text}")
    return dg.SkipReason("one daemon is alive" if known else "no daemon has sent a heartbeat yet")


definitions = dg.Definitions(sensors=[daemons])
