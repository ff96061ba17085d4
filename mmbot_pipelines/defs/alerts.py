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

from mmbot_pipelines.bridge import watch as lookout
from mmbot_pipelines.core.alerts import Notice, Severity
from mmbot_pipelines.defs.plain import plain_failures

Watch = dg.ResourceParam[lookout.Watch]


@dataclass(frozen=True, slots=True)
class Journal:
    """The port `Channel` into the log that Dagster shows."""

    warn: Callable[[str], None]
    say: Callable[[str], None]
    name: str = lookout.JOURNAL

    def send(self, notice: Notice) -> None:
        """Write a notice down; this cannot fail."""
        loud = not notice.good and notice.severity is not Severity.LOW
        (self.warn if loud else self.say)(f"{notice.title}\n{notice.text}")


def _with_journal(watch: lookout.Watch, log: logging.Logger) -> lookout.Watch:
    journal = Journal(log.warning, log.info)
    return replace(watch, channels=[*watch.channels, journal])


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells every alert channel what is wrong, once, and when it is over.",
)
@plain_failures()
def alerts(context: dg.SensorEvaluationContext, watch: Watch) -> dg.SkipReason:
    told = lookout.tell(_with_journal(watch, context.log))
    for trouble in told.troubles:
        context.log.error(trouble)
    said = "; ".join(f"[{alert.severity}] {alert.title}" for alert in told.alerts)
    return dg.SkipReason("\n".join([said or "nothing is wrong", *told.troubles]))


@dg.op(description="Tell every alert channel what the last 24 hours brought.", config_schema={})
def summarize(context: dg.OpExecutionContext, watch: Watch) -> None:
    with plain_failures():
        told = lookout.tell_summary(_with_journal(watch, context.log))
    for trouble in told.troubles:
        context.log.error(trouble)


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
