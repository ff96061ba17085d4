"""Failed orders as partitions of an asset, and retrying one order by hand.

reprocess_order from the launchpad: advances one order as far as possible
failed_orders   every 15 seconds: adds a partition for each failed order; a recovered order keeps
                its partition, which lists its runs, for 7 days
failed_order    an asset: materializing a partition reprocesses its order
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.origins import EXAMPLE_KEY
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.defs.bridge.run_requests import UNFINISHED, Bridge, reprocess_one
from mmbot_pipelines.defs.shared.dagster_internals import PARTITION_TAG
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

FAILED_ORDERS = dg.DynamicPartitionsDefinition(name="failed_orders")

# The UI opens a few thousand partitions at once; of more failed orders, the newest are offered.
_MAX_OFFERED = 1000
_RECOVERED_FOR = timedelta(days=7)


@dg.asset(
    partitions_def=FAILED_ORDERS,
    config_schema={},
    description="A failed or parked order. Materialize its partition to retry it.",
)
def failed_order(context: dg.AssetExecutionContext, bridge: Bridge) -> dg.MaterializeResult[None]:
    key = context.partition_key
    reprocess_one(context.op_execution_context, bridge, key)
    order = bridge.store.orders.get([key])[0]
    return dg.MaterializeResult(metadata={"order": key, "status": str(order.status)})


@dg.op(
    description="Clear the failure of one order and advance it as far as possible.",
    config_schema={
        "order_key": dg.Field(dg.String, description=f'The order, e.g. "{EXAMPLE_KEY}".')
    },
)
def reprocess(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    reprocess_one(context, bridge, context.op_config["order_key"])


@dg.job(
    executor_def=dg.in_process_executor,
    description="Retry one order by hand. Put its key into the launchpad.",
    config={"ops": {"reprocess": {"config": {"order_key": ""}}}},
)
def reprocess_order() -> None:
    reprocess()


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Offers failed orders as partitions of the asset `failed_order`.",
)
@operator_errors()
def failed_orders(context: dg.SensorEvaluationContext, bridge: Bridge) -> dg.SensorResult:
    failed = {
        order.key
        for order in bridge.store.orders.find(OrderFilter(failed=True, limit=_MAX_OFFERED))
    }
    offered = set(context.instance.get_dynamic_partitions(str(FAILED_ORDERS.name)))
    added = sorted(failed - offered)
    removed = _unneeded_partitions(context.instance, bridge, sorted(offered - failed))
    run_requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if added:
        run_requests.append(FAILED_ORDERS.build_add_request(added))
    if removed:
        run_requests.append(FAILED_ORDERS.build_delete_request(removed))
    return dg.SensorResult(
        skip_reason=dg.SkipReason(
            f"{len(failed)} failed orders; partitions: {len(added)} added, {len(removed)} removed"
        ),
        dynamic_partitions_requests=run_requests,
    )


def _unneeded_partitions(
    instance: dg.DagsterInstance, bridge: steps.Bridge, offered: Sequence[str]
) -> list[str]:
    """Return the partitions to delete: of orders that recovered 7 days ago, or are gone.

    A run stores its output, which needs the partition, after it has recovered the order: one
    that an unfinished run uses is kept.
    """
    stored = {order.key: order for order in bridge.store.orders.get(offered)}
    healthy = [key for key, order in stored.items() if not order.failed]
    without_changes = bridge.store.orders.without_changes(
        healthy, since=bridge.clock() - _RECOVERED_FOR
    )
    unneeded = [key for key in offered if key in without_changes or key not in stored]
    if not unneeded:
        return []
    under_way = instance.get_runs(
        dg.RunsFilter(tags={PARTITION_TAG: unneeded}, statuses=UNFINISHED)
    )
    used = {run.tags[PARTITION_TAG] for run in under_way}
    return [key for key in unneeded if key not in used]


definitions = dg.Definitions(assets=[failed_order], jobs=[reprocess_order], sensors=[failed_orders])
