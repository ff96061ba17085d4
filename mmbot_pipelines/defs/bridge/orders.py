"""Sensors and jobs that move orders; the steps are in `mmbot_pipelines.bridge.steps`.

    <origin>_orders, _orders_2   store new orders, request fill_orders
    l1_receipts, _receipts_2     read receipts, request repay_orders, replace_stuck_transactions
    <origin>_settlements         completes the orders that the escrow has paid us for

An order is reserved for a run in the database: no second run is requested for it, until that
run has died.
"""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.defs.bridge.run_requests import (
    Bridge,
    is_run_limit_reached,
    no_worker,
    op_run,
    order_keys,
    order_tags,
    run_requests,
    sensor_run,
    step_op,
)
from mmbot_pipelines.defs.shared.dagster_internals import DagsterRunReaction
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.defs.shared.watching import TICK_SECONDS, TURN_SECONDS, Watcher

transfer = step_op("transfer", steps.transfer)
repay = step_op("repay", steps.repay)

_RUN_LIMIT_REACHED = "run limit reached; waiting for running jobs until they end"
_MAX_CLAIMS_SHOWN = 10  # of one tick, whose orders were often claimed in one run
_RUNNING = dg.DefaultSensorStatus.RUNNING
_NOT_MINE = dg.SkipReason("the other sensor of this kind looks, and takes longer than it should")
_TO_PAY = (Status.PENDING, Status.PROCESSING)


@dg.job(executor_def=dg.in_process_executor, description="Pay the recipients of new orders.")
def fill_orders() -> None:
    transfer()


@dg.job(executor_def=dg.in_process_executor, description="Claim our money back for paid orders.")
def repay_orders() -> None:
    repay()


def orders_sensors(origin: str, max_runs: int) -> list[dg.SensorDefinition]:
    """Return the sensors that store an origin's new orders and request their transfer."""
    watcher = Watcher()
    purpose = f"Stores new orders of the {origin} escrow and requests their transfer."

    def tick(
        context: dg.SensorEvaluationContext, bridge: Bridge
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with operator_errors(), watcher.turn() as mine:
            if not mine:
                yield _NOT_MINE
                return
            run = sensor_run(context)
            busy = True

            def look(may_be_new: bool) -> list[Order]:
                nonlocal busy
                if may_be_new:
                    steps.detect(bridge, origin, run)
                # A tick that takes orders ends: so one that may take some may do so until then.
                busy = busy and is_run_limit_reached(context, fill_orders, origin, max_runs)
                if busy:
                    return []
                return steps.take_orders(bridge, _TO_PAY, origin, max_runs=max_runs)

            if orders := watcher.watch(bridge.announced(origin), look, seconds=TURN_SECONDS):
                # What is paid in one transaction is paid by one run.
                one = bridge.batch_contract is not None or steps.is_throttled(bridge, origin)
                runs = 1 if one else max_runs
                yield from run_requests("transfer", origin, orders, runs)
            else:
                waits = _RUN_LIMIT_REACHED if busy else no_worker(bridge)
                yield dg.SkipReason(waits or f"no new order on {origin}")

    return _by_turns(f"{origin}_orders", purpose, [fill_orders], tick)


def receipts_sensors(origins: Sequence[str], max_runs: int) -> list[dg.SensorDefinition]:
    """Return the sensors that read receipts and request claims and replacements."""
    watcher = Watcher()
    purpose = "Reads the receipts of our transactions; requests claims and replacements."

    def tick(
        context: dg.SensorEvaluationContext, bridge: Bridge
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with operator_errors(), watcher.turn() as mine:
            if not mine:
                yield _NOT_MINE
                return
            run = sensor_run(context)
            busy = set(origins)
            # What is claimed in one transaction is claimed by one run.
            alone = bridge.rules.batching is None and bridge.batch_contract is None
            runs = max_runs if alone else 1
            steps.check_l1_reorgs(bridge, run)
            steps.process_receipts(bridge, run)
            stuck = list(replacements(bridge))

            def look(may_be_new: bool) -> dict[str, list[Order]]:
                if may_be_new:
                    steps.process_receipts(bridge, run)
                busy.difference_update(
                    o
                    for o in list(busy)
                    if not is_run_limit_reached(context, repay_orders, o, max_runs)
                )
                free = [o for o in origins if o not in busy]
                taken = {
                    o: steps.take_orders(bridge, [Status.FULFILLED], o, max_runs=runs) for o in free
                }
                return {origin: orders for origin, orders in taken.items() if orders}

            seconds = 0.0 if stuck else TURN_SECONDS
            paid = watcher.watch(bridge.announced(GLOBAL), look, seconds=seconds) or {}
            yield from stuck
            for origin, orders in paid.items():
                yield from run_requests("repay", origin, orders, runs, job=repay_orders.name)
            if not (paid or stuck):
                waits = _RUN_LIMIT_REACHED if busy.issuperset(origins) else no_worker(bridge)
                yield dg.SkipReason(waits or "no transfer was mined")

    return _by_turns("l1_receipts", purpose, [repay_orders, replace_stuck_transactions], tick)


_Tick = Callable[[dg.SensorEvaluationContext, Bridge], Iterator[dg.RunRequest | dg.SkipReason]]


def _by_turns(
    name: str, purpose: str, jobs: Sequence[dg.JobDefinition], tick: _Tick
) -> list[dg.SensorDefinition]:
    """Return two sensors of one body: one waits for work while the other's runs are created."""

    def sensor(own: str, description: str) -> dg.SensorDefinition:
        return dg.sensor(
            name=own,
            jobs=jobs,
            minimum_interval_seconds=1,
            default_status=_RUNNING,
            description=description,
        )(tick)

    second = f"Takes turns with {name}, so that nothing waits while Dagster creates runs."
    return [sensor(name, purpose), sensor(f"{name}_2", second)]


def settlements_sensor(origin: str) -> dg.SensorDefinition:
    """Return the sensor that completes an origin's orders when the escrow has paid."""
    watcher = Watcher()

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

            def look(may_be_new: bool) -> list[str]:
                return steps.settle(bridge, origin, run) if may_be_new else []

            if completed := watcher.watch(bridge.announced(origin), look, seconds=TICK_SECONDS):
                context.log.info(f"completed {', '.join(completed)}")
                yield from _reactions(context.instance, bridge, completed)
            else:
                yield dg.SkipReason(f"the {origin} escrow paid for no order")

    return sensor


def _reactions(
    instance: dg.DagsterInstance, bridge: steps.Bridge, completed: Sequence[str]
) -> Iterator[DagsterRunReaction | dg.SkipReason]:
    """Yield a reaction to each run that claimed these orders.

    Dagster shows a tick that requests no run as skipped, whatever it did. With a reaction to a
    run it shows the tick as successful, and the reaction in that run's log.
    """
    # A claim that went out with its transfer has the transfer's run.
    claimed = (Status.TRANSFERRING, Status.PROVING)
    histories = [bridge.store.orders.history(key) for key in completed[:_MAX_CLAIMS_SHOWN]]
    sent = [[entry.run_id for entry in each if entry.after in claimed] for each in histories]
    ids = {run_ids[-1] for run_ids in sent if run_ids}
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
            *(sensor for origin in origins for sensor in orders_sensors(origin, max_runs)),
            *receipts_sensors(origins, max_runs),
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
    run = op_run(context, bridge)
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
    if stuck and no_worker(bridge) is None:
        turn = int(bridge.clock().timestamp()) // _ASK_AGAIN_SECONDS
        served = sorted({part.subject for row in stuck for part in row.parts})
        keys = [order.key for order in bridge.store.orders.get(served)]
        yield dg.RunRequest(
            run_key=f"replace {stuck[0].hash} {turn}",
            job_name=replace_stuck_transactions.name,
            run_config={"ops": {"replace": {"config": {"order_keys": keys}}}},
            tags=order_tags(keys),
        )
