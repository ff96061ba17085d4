"""Failures that only Dagster can see, and failed orders as Dagster shows them."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Filter, Run
from mmbot_pipelines.defs.requests import tagged_orders

# How far back the first tick ever looks.
_FIRST_LOOK_BACK = timedelta(hours=1)


def note_dead_runs(context: dg.SensorEvaluationContext, bridge: steps.Bridge, run: Run) -> int:
    """Keep an error with the orders of each run that ended without saying so itself."""
    since = (
        datetime.fromisoformat(context.cursor)
        if context.cursor
        else datetime.now(UTC) - _FIRST_LOOK_BACK
    )
    instance = context.instance
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since),
        order_by="update_timestamp",
        ascending=True,
    )
    dead = 0
    for record in records:
        died = record.dagster_run
        keys = tagged_orders(died.tags)
        if keys and not instance.all_logs(died.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
            why = f"run {died.run_id} of {died.job_name} ended without finishing its step"
            steps.run_died(bridge, keys, Run(id=died.run_id, say=run.say), why)
            dead += 1
        context.update_cursor(record.update_timestamp.isoformat())
    return dead


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
