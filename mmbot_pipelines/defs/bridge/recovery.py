"""What keeps orders from being lost: backfill, retry, dead runs, and a person's hand.

accepted_blocks_backfill   every 5 min: what the sensors may have missed
failed_orders_retry        every 5 min: what may be tried again
failed_orders              notes runs that died, offers failed orders as partitions
reprocess_order            by hand, from the launchpad: one order, as far as it goes
failed_order               by hand, as an asset: the same, by materializing a partition
"""

from collections.abc import Callable

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.journal import Run
from mmbot_pipelines.bridge.origins import EXAMPLE_KEY
from mmbot_pipelines.defs.bridge.failed_runs import record_failed_runs, sync_failed_order_partitions
from mmbot_pipelines.defs.bridge.run_requests import (
    Bridge,
    op_run,
    order_keys,
    order_tags,
    sensor_run,
)
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

FAILED_ORDERS = dg.DynamicPartitionsDefinition(name="failed_orders")


@dg.op(
    description="Take one order up again, clear its failure, and go as far as it can go.",
    config_schema={
        "order_key": dg.Field(dg.String, description=f'The order, e.g. "{EXAMPLE_KEY}".')
    },
)
def reprocess(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    _reprocess(context, bridge, context.op_config["order_key"])


@dg.job(
    executor_def=dg.in_process_executor,
    description="Take one order up again by hand. Put its key into the launchpad.",
    config={"ops": {"reprocess": {"config": {"order_key": ""}}}},
)
def reprocess_order() -> None:
    reprocess()


@dg.asset(
    partitions_def=FAILED_ORDERS,
    config_schema={},
    description="A failed or parked order. Materialize its partition to take it up again.",
)
def failed_order(context: dg.AssetExecutionContext, bridge: Bridge) -> dg.MaterializeResult[None]:
    key = context.partition_key
    _reprocess(context.op_execution_context, bridge, key)
    order = bridge.orders.get([key])[0]
    return dg.MaterializeResult(metadata={"order": key, "status": str(order.status)})


def _reprocess(context: dg.OpExecutionContext, bridge: steps.Bridge, key: str) -> None:
    with operator_errors():
        order_keys([key])
        context.instance.add_run_tags(context.run_id, order_tags([key]))
        if not bridge.orders.get([key]):
            raise steps.OrdersFailed(
                f"no order {key!r}: give one that `mmbot orders` lists, e.g. {EXAMPLE_KEY}"
            )
        steps.reprocess(bridge, [key], op_run(context))


@dg.sensor(
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notes runs that died with their orders; offers failed orders as partitions.",
)
@operator_errors()
def failed_orders(context: dg.SensorEvaluationContext, bridge: Bridge) -> dg.SkipReason:
    dead = record_failed_runs(context, bridge, sensor_run(context))
    failed = sync_failed_order_partitions(context.instance, bridge, FAILED_ORDERS)
    return dg.SkipReason(f"{failed} failed orders, {dead} runs died since the last look")


def every_five_minutes(
    name: str, description: str, find: Callable[[steps.Bridge, Run], list[str]]
) -> dg.ScheduleDefinition:
    """Make a job that finds orders and advances them, and its schedule."""

    @dg.op(name=f"{name}_op", description=description, config_schema={})
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        run = op_run(context)
        with operator_errors():
            keys = find(bridge, run)
            run.log(f"orders to take on: {', '.join(keys) or 'none'}")
            context.instance.add_run_tags(context.run_id, order_tags(keys))
            steps.advance(bridge, keys, run)

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        op()

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule="*/5 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )


definitions = dg.Definitions(
    assets=[failed_order],
    jobs=[reprocess_order],
    sensors=[failed_orders],
    schedules=[
        every_five_minutes(
            "accepted_blocks_backfill",
            "Reads the accepted blocks again, so that no order is lost.",
            steps.backfill,
        ),
        every_five_minutes(
            "failed_orders_retry",
            "Tries failed orders again whose next attempt has come.",
            steps.retry,
        ),
    ],
)
