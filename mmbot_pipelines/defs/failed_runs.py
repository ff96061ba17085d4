"""Failures that only Dagster can see, and failed orders as Dagster shows them."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import JobFailureData

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Filter, Run
from mmbot_pipelines.defs.plain import InWords
from mmbot_pipelines.defs.requests import tagged_orders

# How far back before the last tick each tick looks. A failure is dated by when it happened,
# but can be seen only once it is stored, and while the database is away that is late.
_LOOK_BACK = timedelta(minutes=10)
_FIRST_LOOK_BACK = timedelta(hours=1)


def note_dead_runs(context: dg.SensorEvaluationContext, bridge: steps.Bridge, run: Run) -> int:
    """Keep an error with the orders of each run that ended without keeping one itself."""
    instance, now = context.instance, datetime.now(UTC)
    last, looked_at = json.loads(context.cursor or "null") or [None, []]
    before = datetime.fromisoformat(last) if last else now - _FIRST_LOOK_BACK
    recent = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=before - _LOOK_BACK)
    )
    dead = 0
    for failed in recent:
        if failed.run_id not in looked_at:
            died = Run(id=failed.run_id, say=run.say)
            ending = _ending(instance, failed)
            dead += steps.run_died(bridge, tagged_orders(failed.tags), died, *ending)
    context.update_cursor(json.dumps([now.isoformat(), [failed.run_id for failed in recent]]))
    return dead


def _ending(instance: dg.DagsterInstance, failed: dg.DagsterRun) -> tuple[str, bool]:
    """Tell how a run ended, and whether its step came to say what failed."""
    who = f"run {failed.run_id} of {failed.job_name}"
    for entry in instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if (event := entry.dagster_event) is not None:
            ours = event.step_failure_data.user_failure_data
            # The text of a fault that nobody foresaw stays in the run's own page.
            cause = ours.description if ours and ours.description else "an unforeseen fault"
            return f"{who} could not keep what failed: {cause.splitlines()[0]}", True
    for entry in instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        # Dagster's monitoring, which finds a run dead, gives no error.
        ending = entry.dagster_event and entry.dagster_event.event_specific_data
        error = ending.error if isinstance(ending, JobFailureData) else None
        if error is not None and error.cls_name == InWords.__name__:
            return f"{who} could not begin: {error.message.splitlines()[0]}", False
    return f"{who} ended without finishing its step", False


def offer_failed_orders(
    instance: dg.DagsterInstance, bridge: steps.Bridge, partitions: dg.DynamicPartitionsDefinition
) -> list[Order]:
    """Make the partitions of the failed orders' asset equal to the failed orders."""
    failed = bridge.orders.find(Filter(failed=True))
    name = str(partitions.name)
    wanted = {o.key for o in failed}
    there = set(instance.get_dynamic_partitions(name))
    if wanted - there:
        instance.add_dynamic_partitions(name, sorted(wanted - there))
    for key in there - wanted:
        instance.delete_dynamic_partition(name, key)
    return failed
