"""When the operator is told.

alerts          every 15 seconds: what is wrong, and what is over
daily_summary   every day at 08:00 UTC: what the last 24 hours brought

Both tell the log of their own tick or run too, so that the UI shows all of it even where
MMBOT_ALERT_URLS names nobody.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import dagster as dg

from mmbot_pipelines.bridge.alerting import notify as bridge_alerting
from mmbot_pipelines.core.alerts import Notification, Severity
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

AlertService = dg.ResourceParam[bridge_alerting.AlertService]


@dataclass(frozen=True, slots=True)
class Journal:
    """The port `Channel` into the log that Dagster shows."""

    warn: Callable[[str], None]
    info: Callable[[str], None]
    name: str = bridge_alerting.JOURNAL

    def send(self, notification: Notification) -> None:
        """Write a notice down; this cannot fail."""
        is_loud = not notification.is_resolved and notification.severity is not Severity.LOW
        (self.warn if is_loud else self.info)(f"{notification.title}\n{notification.text}")


def _with_journal(
    alert_service: bridge_alerting.AlertService, log: logging.Logger
) -> bridge_alerting.AlertService:
    journal = Journal(log.warning, log.info)
    return replace(alert_service, channels=[*alert_service.channels, journal])


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells every alert channel what is wrong, once, and when it is over.",
)
@operator_errors()
def alerts(context: dg.SensorEvaluationContext, alert_service: AlertService) -> dg.SkipReason:
    sent = bridge_alerting.send_alerts(_with_journal(alert_service, context.log))
    for problem in sent.problems:
        context.log.error(problem)
    holding = "; ".join(f"[{alert.severity}] {alert.title}" for alert in sent.alerts)
    return dg.SkipReason("\n".join([holding or "nothing is wrong", *sent.problems]))


@dg.op(description="Tell every alert channel what the last 24 hours brought.", config_schema={})
def summarize(context: dg.OpExecutionContext, alert_service: AlertService) -> None:
    with operator_errors():
        sent = bridge_alerting.send_daily_summary(_with_journal(alert_service, context.log))
    for problem in sent.problems:
        context.log.error(problem)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Tell every alert channel what the last 24 hours brought.",
)
def daily_summary() -> None:
    summarize()


definitions = dg.Definitions(
    jobs=[daily_summary],
    sensors=[alerts],
    schedules=[
        dg.ScheduleDefinition(
            name="daily_summary",
            job=daily_summary,
            cron_schedule="0 8 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Tells every alert channel what the last 24 hours brought.",
        )
    ],
)
