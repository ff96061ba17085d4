"""Failed orders as partitions of an asset, and retrying one order by hand.

reprocess_order from the launchpad: advances one order as far as possible
failed_orders   every 15 seconds: adds a partition for each failed order; one that recovered turns
                green, with its history, and is kept for 7 days
no_order_is_parked   a check: red as long as orders are parked, with what to do about each
failed_order    an asset: materializing a partition reprocesses its order
"""

import json
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.defs.bridge.assets import OWNERS
from mmbot_pipelines.defs.bridge.metadata import Value, listed
from mmbot_pipelines.defs.bridge.order_story import order_story, parked_line
from mmbot_pipelines.defs.bridge.run_requests import (
    EXAMPLE_CONFIG,
    ONE_ORDER,
    UNFINISHED,
    Bridge,
    key_of,
    reprocess_one,
)
from mmbot_pipelines.defs.shared.dagster_internals import PARTITION_TAG
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

FAILED_ORDERS = dg.DynamicPartitionsDefinition(name="failed_orders")

# The UI opens a few thousand partitions at once; of more failed orders, the newest are offered.
_MAX_OFFERED = 1000
_RECOVERED_FOR = timedelta(days=7)
_MAX_SHOWN = 20  # recovered orders of one tick, whose histories are read
_SEEN = ("failed", "parked", "shown")
_CHECK = "no_order_is_parked"


@dg.asset(
    partitions_def=FAILED_ORDERS,
    config_schema={},
    group_name="orders",
    owners=OWNERS,
    kinds={"postgres"},
    description="A failed or parked order. Materialize its partition to retry it; its "
    "materialization has the order's whole history.",
)
def failed_order(context: dg.AssetExecutionContext, bridge: Bridge) -> dg.MaterializeResult[None]:
    key = context.partition_key
    reprocess_one(context.op_execution_context, bridge, key)
    order = bridge.store.orders.get([key])[0]
    return dg.MaterializeResult(metadata=order_story(bridge, order))


@dg.asset_check(
    asset=failed_order,
    name=_CHECK,
    description="Is no order parked? Each parked one with its reason, amount and what to do.",
    config_schema={},
)
def no_order_is_parked(bridge: Bridge) -> dg.AssetCheckResult:
    with operator_errors():
        lines = _parked(bridge)
    return dg.AssetCheckResult(
        passed=not lines,
        description=lines[0] if lines else None,
        metadata=_listed(bridge, lines),
    )


@dg.op(
    description="Clear the failure of one order and advance it as far as possible.",
    config_schema=ONE_ORDER,
)
def reprocess(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    reprocess_one(context, bridge, key_of(context.op_config))


@dg.job(
    executor_def=dg.in_process_executor,
    description=f"Retry one order by hand. Put it into the launchpad as config: {EXAMPLE_CONFIG}",
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
    failed_now = bridge.store.orders.find(OrderFilter(failed=True, limit=_MAX_OFFERED))
    failed = {order.key for order in failed_now}
    offered = set(context.instance.get_dynamic_partitions(str(FAILED_ORDERS.name)))
    added = sorted(failed - offered)
    removed = _unneeded_partitions(context.instance, bridge, sorted(offered - failed))
    run_requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if added:
        run_requests.append(FAILED_ORDERS.build_add_request(added))
    if removed:
        run_requests.append(FAILED_ORDERS.build_delete_request(removed))
    seen = _seen(context.cursor)
    # Only those that failed at an earlier tick: a person's own run reports what it recovered.
    healthy = sorted((set(seen["failed"]) & offered) - failed - set(removed))
    # Red with its cause before a person has touched it: once, when it is parked.
    newly_parked = [o for o in failed_now if o.is_parked and o.key not in seen["shown"]]
    newly_parked = newly_parked[:_MAX_SHOWN]
    recovered = [
        order for order in bridge.store.orders.get(healthy[:_MAX_SHOWN]) if order.status.is_final
    ]
    lines = [parked_line(order) for order in failed_now if order.is_parked]
    events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = [
        dg.AssetMaterialization(
            failed_order.key, partition=order.key, metadata=order_story(bridge, order)
        )
        for order in recovered
    ]
    events += [
        dg.AssetObservation(
            failed_order.key, partition=order.key, metadata=order_story(bridge, order)
        )
        for order in newly_parked
    ]
    parked = sorted(order.key for order in failed_now if order.is_parked)
    shown = sorted(set(seen["shown"]).intersection(parked) | {o.key for o in newly_parked})
    if parked != seen["parked"] or not context.cursor:
        events.append(
            dg.AssetCheckEvaluation(
                asset_key=failed_order.key,
                check_name=_CHECK,
                passed=not lines,
                description=lines[0] if lines else None,
                metadata=_listed(bridge, lines),
            )
        )
    waiting = set(healthy) - {order.key for order in recovered}
    return dg.SensorResult(
        skip_reason=dg.SkipReason(
            f"{len(failed)} failed orders; partitions: {len(added)} added, {len(removed)} removed"
        ),
        dynamic_partitions_requests=run_requests,
        asset_events=events,
        cursor=json.dumps({"failed": sorted(failed | waiting), "parked": parked, "shown": shown}),
    )


def _parked(bridge: steps.Bridge) -> list[str]:
    failed = bridge.store.orders.find(OrderFilter(failed=True, limit=_MAX_OFFERED))
    return [parked_line(order) for order in failed if order.is_parked]


def _listed(bridge: steps.Bridge, lines: Sequence[str]) -> dict[str, Value]:
    return {"parked": listed(lines, bridge.explorers.get(GLOBAL))} if lines else {}


def _seen(cursor: str | None) -> dict[str, list[str]]:
    """Return what the last tick saw; anybody may edit it in the UI."""
    try:
        seen = json.loads(cursor or "{}")
        return {name: [str(key) for key in seen.get(name, ())] for name in _SEEN}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {name: [] for name in _SEEN}


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


definitions = dg.Definitions(
    assets=[failed_order],
    asset_checks=[no_order_is_parked],
    jobs=[reprocess_order],
    sensors=[failed_orders],
)
