"""Sensors and jobs that move orders; the steps are in `mmbot_pipelines.bridge.steps`.

    <origin>_orders        stores new orders, requests fill_orders
    l1_receipts            reads receipts, requests repay_orders and replace_stuck_transactions
    <origin>_settlements   completes the orders that the escrow has paid us for

An order is reserved for a run in the database: no second run is requested for it, until that
run has died.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.defs.bridge.run_requests import (
    Bridge,
    is_run_limit_reached,
    op_run,
    order_keys,
    order_tags,
    polls,
    run_requests,
    sensor_run,
    step_op,
)
from mmbot_pipelines.defs.shared.dagster_internals import DagsterRunReaction
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

transfer = step_op("transfer", steps.transfer)
repay = step_op("repay", steps.repay)

_RUN_LIMIT_REACHED = "run limit reached; waiting for running jobs until they end"
_MAX_CLAIMS_SHOWN = 10  # of one tick, whose orders were often claimed in one run
_RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.job(executor_def=dg.in_process_executor, description="Pay the recipients of new orders.")
def fill_orders() -> None:
    transfer()


@dg.job(executor_def=dg.in_process_executor, description="Claim our money back for paid orders.")
def repay_orders() -> None:
    repay()


def orders_sensor(origin: str, max_runs: int) -> dg.SensorDefinition:
    """Return the sensor that stores an origin's new orders and requests their transfer."""

    @dg.sensor(
        name=f"{origin}_orders",
        job=fill_orders,
        minimum_interval_seconds=1,
        default_status=_RUNNING,
        description=f"Stores new orders of the {origin} escrow and requests their transfer.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, bridge: Bridge
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with operator_errors():
            run = sensor_run(context)
            busy = is_run_limit_reached(context, fill_orders, origin, max_runs)
            for _ in polls():
                steps.detect(bridge, origin, run)
                if busy:
                    continue
                orders = steps.take_orders(bridge, [Status.PENDING, Status.PROCESSING], origin)
                if orders:
                    runs = 1 if steps.is_throttled(bridge, origin) else max_runs
                    yield from run_requests("transfer", origin, orders, runs)
                    return
            yield dg.SkipReason(_RUN_LIMIT_REACHED if busy else f"no new order on {origin}")

    return sensor


def receipts_sensor(origins: Sequence[str], max_runs: int) -> dg.SensorDefinition:
    """Return the sensor that reads receipts and requests claims and replacements."""

    @dg.sensor(
        name="l1_receipts",
        jobs=[repay_orders, replace_stuck_transactions],
        minimum_interval_seconds=1,
        default_status=_RUNNING,
        description="Reads the receipts of our transactions; requests claims and replacements.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, bridge: Bridge
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with operator_errors():
            run = sensor_run(context)
            free = [
                o for o in origins if not is_run_limit_reached(context, repay_orders, o, max_runs)
            ]
            steps.check_l1_reorgs(bridge, run)
            steps.process_receipts(bridge, run)
            stuck = list(replacements(bridge))
            paid: dict[str, list[Order]] = {origin: [] for origin in free}
            for _ in polls():
                in_flight = steps.process_receipts(bridge, run)
                for origin in free:
                    if len(paid[origin]) < steps.MAX_PER_TICK:
                        paid[origin] += steps.take_orders(bridge, [Status.FULFILLED], origin)
                # What was sent together is mined in one block or the next: claim it together.
                if any(paid.values()) and not in_flight:
                    break
            yield from stuck
            for origin, orders in paid.items():
                yield from run_requests("repay", origin, orders, max_runs, job=repay_orders.name)
            if not (any(paid.values()) or stuck):
                yield dg.SkipReason("no transfer was mined" if free else _RUN_LIMIT_REACHED)

    return sensor


def settlements_sensor(origin: str) -> dg.SensorDefinition:
    """Return the sensor that completes an origin's orders when the escrow has paid."""

    @dg.sensor(
        name=f"{origin}_settlements",
        minimum_interval_seconds=1,
        default_status=_RUNNING,
        description=f"Completes orders when the {origin} escrow has paid us.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, bridge: Bridge
    ) -> Iterator[DagsterRunReaction | dg.SkipReason]:
        with operator_errors():
            run = sensor_run(context)
            for _ in polls():
                if completed := steps.settle(bridge, origin, run):
                    context.log.info(f"completed {', '.join(completed)}")
                    yield from _reactions(context.instance, bridge, completed)
                    return
            yield dg.SkipReason(f"the {origin} escrow paid for no order")

    return sensor


def _reactions(
    instance: dg.DagsterInstance, bridge: steps.Bridge, completed: Sequence[str]
) -> Iterator[DagsterRunReaction | dg.SkipReason]:
    """Yield a reaction to each run that claimed these orders.

    Dagster shows a tick that requests no run as skipped, whatever it did. With a reaction to a
    run it shows the tick as successful, and the reaction in that run's log.
    """
    ids = {
        entry.run_id
        for key in completed[:_MAX_CLAIMS_SHOWN]
        for entry in bridge.store.orders.history(key)
        if entry.after is Status.PROVING
    }
    runs = instance.get_runs(dg.RunsFilter(run_ids=sorted(ids))) if ids else []
    for claim in runs:
        yield DagsterRunReaction(claim, run_status=claim.status)
    if not runs:
        yield dg.SkipReason(
            "orders were completed whose claims no run of Dagster made; see the log"
        )


def definitions(origins: Sequence[str], max_runs: int) -> dg.Definitions:
    """Return the jobs and sensors that move orders."""
    return dg.Definitions(
        jobs=[fill_orders, repay_orders, replace_stuck_transactions],
        sensors=[
            *(orders_sensor(origin, max_runs) for origin in origins),
            receipts_sensor(origins, max_runs),
            *(settlements_sensor(origin) for origin in origins),
        ],
    )


# At most one run for the same stuck transactions within this time: it handles all of them.
_ASK_AGAIN_SECONDS = 30


_STUCK = {
    "order_keys": dg.Field(
        [dg.String],
        default_value=[],
        description="The orders whose transactions were stuck at the request; the run checks all.",
    )
}


@dg.op(description="Replace or cancel the transactions that are stuck.", config_schema=_STUCK)
def replace(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    run = op_run(context)
    with operator_errors():
        keys = order_keys(context.op_config["order_keys"])
        steps.record_run(bridge, run.id, keys)
        steps.replace_stuck(bridge, run)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Replace transactions that block the nonce queue; cancel what is not wanted.",
)
def replace_stuck_transactions() -> None:
    replace()


def replacements(bridge: steps.Bridge) -> Iterator[dg.RunRequest]:
    """Request one run if transactions are stuck."""
    stuck = steps.stuck_transactions(bridge)
    if stuck:
        turn = int(bridge.clock().timestamp()) // _ASK_AGAIN_SECONDS
        keys = sorted({row.subject for row in stuck if bridge.store.orders.get([row.subject])})
        yield dg.RunRequest(
            run_key=f"replace {stuck[0].hash} {turn}",
            job_name=replace_stuck_transactions.name,
            run_config={"ops": {"replace": {"config": {"order_keys": keys}}}},
            tags=order_tags(keys),
        )
