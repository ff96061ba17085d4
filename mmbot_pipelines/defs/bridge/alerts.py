"""Alerts and the daily summary as a sensor and a schedule.

alerts          every 15 seconds: sends new and resolved alerts
daily_summary   every day at 08:00 UTC: sends a summary of the last 24 hours

Both also write to the log of their own tick or run, so that the UI shows every notification
even where MMBOT_ALERT_URLS is empty.
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
    """An alert channel that writes to the log which Dagster shows."""

    warn: Callable[[str], None]
    info: Callable[[str], None]
    name: str = bridge_alerting.JOURNAL

    def send(self, notification: Notification) -> None:
        """Log a notification: open alerts above LOW as warnings. Never raises."""
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
    description="Sends each alert to every channel once, and again when it is resolved.",
)
@operator_errors()
def alerts(context: dg.SensorEvaluationContext, alert_service: AlertService) -> dg.SkipReason:
    sent = bridge_alerting.send_alerts(_with_journal(alert_service, context.log))
    for problem in sent.problems:
        context.log.error(problem)
    holding = "; ".join(f"[{alert.severity}] {alert.title}" for alert in sent.alerts)
    return dg.SkipReason("\n".join([holding or "nothing is wrong", *sent.problems]))


@dg.op(description="Send a summary of the last 24 hours to every alert channel.", config_schema={})
def summarize(context: dg.OpExecutionContext, alert_service: AlertService) -> None:
    with operator_errors():
        sent = bridge_alerting.send_daily_summary(_with_journal(alert_service, context.log))
    for problem in sent.problems:
        context.log.error(problem)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Send a summary of the last 24 hours to every alert channel.",
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
            description="Sends a summary of the last 24 hours to every alert channel.",
        )
    ],
)
