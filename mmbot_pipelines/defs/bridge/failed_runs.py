"""Runs that failed without recording why: their orders get the error, and go on.

failed_runs   every 10 s: records failed runs with their orders

Why this sensor asks for failed runs itself, where Dagster has `run_failure_sensor`: that one
moves its cursor past a run whose handler raised, so a failure that comes while the database is
away would never be recorded; it takes five runs a tick, where an outage fails a hundred; and it
reads events by ascending id, among which a transaction that commits late is passed over.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.defs.bridge.run_requests import Bridge, orders_of_run, sensor_run
from mmbot_pipelines.defs.shared.dagster_internals import DagsterRunReaction
from mmbot_pipelines.defs.shared.operator_errors import OperatorError, operator_errors

# How far back before the last tick each tick reads. A failure has the time when it happened,
# but is stored later where the database was away.
_LOOKBACK = timedelta(minutes=10)
_FIRST_LOOKBACK = timedelta(hours=1)


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records failed runs with their orders, which then go on.",
)
def failed_runs(
    context: dg.SensorEvaluationContext, bridge: Bridge
) -> Iterator[DagsterRunReaction | dg.SkipReason]:
    with operator_errors():
        recorded = record_failed_runs(context, bridge, sensor_run(context))
        # With a reaction Dagster shows the tick as successful, and the sensor in the run's log.
        for run in recorded:
            yield DagsterRunReaction(run, run_status=dg.DagsterRunStatus.FAILURE)
        if not recorded:
            yield dg.SkipReason("no run failed without recording why")


def record_failed_runs(
    context: dg.SensorEvaluationContext, bridge: steps.Bridge, run: Run
) -> list[dg.DagsterRun]:
    """Record an error with the orders of each run that ended without recording one itself.

    Returns the runs for which one was recorded.
    """
    instance, now = context.instance, datetime.now(UTC)
    after, looked_at = _looked_at(context, now)
    recent = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
    )
    recorded = []
    for failed in recent:
        if failed.run_id not in looked_at:
            died = Run(id=failed.run_id, log=run.log)
            ending = _ending(instance, failed)
            if steps.record_run_failure(bridge, orders_of_run(bridge, failed), died, *ending):
                recorded.append(failed)
    context.update_cursor(json.dumps([now.isoformat(), [failed.run_id for failed in recent]]))
    return recorded


def _looked_at(context: dg.SensorEvaluationContext, now: datetime) -> tuple[datetime, list[str]]:
    """Return the UTC time from which failed runs are read, and the ids of those read before.

    Anybody may edit the cursor in the UI: an invalid one is treated as none.
    """
    first = now - _FIRST_LOOKBACK - _LOOKBACK
    if not context.cursor:
        return first, []
    try:
        last, looked_at = json.loads(context.cursor)
        return datetime.fromisoformat(last).astimezone(UTC) - _LOOKBACK, list(map(str, looked_at))
    except (ValueError, TypeError, OverflowError, RecursionError):
        context.log.warning(
            "the sensor's cursor cannot be read: runs that failed within the last "
            f"{(now - first).total_seconds() / 60:.0f} minutes are looked at again"
        )
        return first, []


def _ending(instance: dg.DagsterInstance, failed: dg.DagsterRun) -> tuple[str, bool]:
    """Return how a run ended, and whether its step failed (False: its process died before that)."""
    who = f"run {failed.run_id} of {failed.job_name}"
    for entry in instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if (event := entry.dagster_event) is not None:
            ours = event.step_failure_data.user_failure_data
            # The text of an unexpected exception stays on the run's own page.
            cause = ours.description if ours and ours.description else "an unforeseen fault"
            return f"{who} could not keep what failed: {cause.splitlines()[0]}", True
    for entry in instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        # Dagster's monitoring, which finds a run dead, gives no error.
        ending = entry.dagster_event and entry.dagster_event.event_specific_data
        error = getattr(ending, "error", None)
        if error is not None and error.cls_name == OperatorError.__name__:
            return f"{who} could not begin: {error.message.splitlines()[0]}", False
    return f"{who} ended without finishing its step", False


definitions = dg.Definitions(sensors=[failed_runs])
