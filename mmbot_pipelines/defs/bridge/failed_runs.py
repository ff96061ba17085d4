"""Failures that only Dagster can see, and failed orders as Dagster shows them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import JobFailureData
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.journal import Run
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.defs.bridge.run_requests import tagged_orders
from mmbot_pipelines.defs.shared.operator_errors import OperatorError

# How far back before the last tick each tick looks. A failure is dated by when it happened,
# but can be seen only once it is stored, and while the database is away that is late.
_LOOKBACK = timedelta(minutes=10)
_FIRST_LOOKBACK = timedelta(hours=1)

# The UI opens a few thousand partitions at once; of more failed orders, the newest are offered.
_MAX_PARTITIONS = 1000
_RECOVERED_FOR = timedelta(days=7)  # then its partition goes, with the runs it shows


def record_failed_runs(context: dg.SensorEvaluationContext, bridge: steps.Bridge, run: Run) -> int:
    """Keep an error with the orders of each run that ended without keeping one itself."""
    instance, now = context.instance, datetime.now(UTC)
    after, looked_at = _looked_at(context, now)
    recent = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
    )
    dead = 0
    for failed in recent:
        if failed.run_id not in looked_at:
            died = Run(id=failed.run_id, log=run.log)
            ending = _ending(instance, failed)
            dead += steps.record_run_failure(bridge, tagged_orders(failed.tags), died, *ending)
    context.update_cursor(json.dumps([now.isoformat(), [failed.run_id for failed in recent]]))
    return dead


def _looked_at(context: dg.SensorEvaluationContext, now: datetime) -> tuple[datetime, list[str]]:
    """Return since when failed runs are looked at, UTC, and which were before.

    Anybody may edit the cursor in the UI: one that cannot be read is as good as none.
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
        if error is not None and error.cls_name == OperatorError.__name__:
            return f"{who} could not begin: {error.message.splitlines()[0]}", False
    return f"{who} ended without finishing its step", False


def sync_failed_order_partitions(
    instance: dg.DagsterInstance, bridge: steps.Bridge, partitions: dg.DynamicPartitionsDefinition
) -> int:
    """Keep a partition for each failed order and for each that recovered lately.

    Returns how many orders are failed, up to `_MAX_PARTITIONS`.
    """
    failed = {
        order.key for order in bridge.orders.find(OrderFilter(failed=True, limit=_MAX_PARTITIONS))
    }
    name = str(partitions.name)
    there = set(instance.get_dynamic_partitions(name))
    if failed - there:
        instance.add_dynamic_partitions(name, sorted(failed - there))
    for key in _unneeded_partitions(instance, bridge, sorted(there - failed)):
        instance.delete_dynamic_partition(name, key)
    return len(failed)


def _unneeded_partitions(
    instance: dg.DagsterInstance, bridge: steps.Bridge, offered: Sequence[str]
) -> list[str]:
    """Return the partitions that nobody needs any more.

    The run that recovers an order stores its output after that, for which the partition must
    be there.
    """
    stored = {order.key: order for order in bridge.orders.get(offered)}
    healthy = [key for key, order in stored.items() if not order.failed]
    without_changes = bridge.orders.without_changes(healthy, since=bridge.clock() - _RECOVERED_FOR)
    unneeded = [key for key in offered if key in without_changes or key not in stored]
    if not unneeded:
        return []
    under_way = instance.get_runs(
        dg.RunsFilter(tags={PARTITION_NAME_TAG: unneeded}, statuses=NOT_FINISHED_STATUSES)
    )
    used = {run.tags[PARTITION_NAME_TAG] for run in under_way}
    return [key for key in unneeded if key not in used]
