"""Run requests for orders, and the orders of a run. Dagster and the store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order, is_key
from mmbot_pipelines.bridge.orders.origins import EXAMPLE_KEY, ORIGINS
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.defs.shared.dagster_internals import PARTITION_TAG
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

Bridge = dg.ResourceParam[steps.Bridge]

# Starting a process costs seconds: a run of several orders holds 50 or more.
_MIN_PACK = 50


# How many ticks' runs may be unfinished at once, and how long a run can last: Dagster ends it
# after max_runtime_seconds in dagster.yaml.
_RUN_LIMIT_FACTOR = 2
_MAX_RUNNING_FOR = timedelta(seconds=150)


UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

# One order in a launchpad, see EXAMPLE_CONFIG: Dagster itself refuses an empty or unknown origin,
# several orders, and what is no number. Its types know no pattern and ask no database: a number
# that no order has is refused in the run.
ONE_ORDER = dg.Selector(  # type: ignore[no-untyped-call]
    {name: dg.Field(dg.Int, description=f"The order's number on {name}.") for name in ORIGINS}
)

EXAMPLE_CONFIG = EXAMPLE_KEY.replace(":", ": ")

SHOW_JOB = "show_order"  # it moves no order
ORDER = "order"  # the tag of a run that has one order
ORIGIN = "origin"  # the tag of a run whose orders are all of one origin


def order_tags(keys: Sequence[str]) -> dict[str, str]:
    """Tag a run with its order, where it has only one.

    Dagster is built for few tag keys: the orders of other runs are in the database, where every
    run stores them when it begins (`record_run`).
    """
    return {ORDER: keys[0]} if len(keys) == 1 else {}


def orders_of_run(bridge: steps.Bridge, run: dg.DagsterRun) -> list[str]:
    """Return the orders of a run: those it recorded, or those it was launched to move."""
    if run.job_name == SHOW_JOB:
        return []
    recorded = bridge.store.orders.of_run(run.run_id)
    if recorded:
        return recorded
    named = [*_launched_for(run), *(run.tags.get(tag) for tag in (ORDER, PARTITION_TAG))]
    return [key for key in dict.fromkeys(map(str, named)) if is_key(key)]


def _launched_for(run: dg.DagsterRun) -> Iterator[object]:
    """Yield the order keys in a run's configuration, unchecked."""
    ops = run.run_config.get("ops")
    for op in ops.values() if isinstance(ops, Mapping) else ():
        match op:
            case {"config": {"order_keys": [*keys]}}:
                yield from keys
            case {"config": {**one}}:
                yield key_of(one)


def key_of(one: Mapping[Any, object]) -> str:
    """Return the key of the order that `ONE_ORDER` has."""
    return ":".join(str(part) for item in one.items() for part in item)


def run_requests(
    op: str, origin: str, orders: Sequence[Order], max_runs: int, job: str | None = None
) -> Iterator[dg.RunRequest]:
    """Request one run per order, or runs of many orders when there are more than `max_runs`.

    origin: of all these orders.
    job: its name, where the sensor requests runs of several jobs.
    """
    size = 1 if len(orders) <= max_runs else max(_MIN_PACK, -(-len(orders) // max_runs))
    for start in range(0, len(orders), size):
        keys = [o.key for o in orders[start : start + size]]
        yield dg.RunRequest(
            run_config={"ops": {op: {"config": {"order_keys": keys}}}},
            job_name=job,
            tags=order_tags(keys) | {ORIGIN: origin},
        )


def is_run_limit_reached(
    context: dg.SensorEvaluationContext, job: dg.JobDefinition, origin: str, max_runs: int
) -> bool:
    """Return whether an origin has the maximum of unfinished runs of a job."""
    under_way = dg.RunsFilter(
        job_name=job.name,
        tags={ORIGIN: origin},
        statuses=UNFINISHED,
        created_after=datetime.now(UTC) - _MAX_RUNNING_FOR,
    )
    return context.instance.get_runs_count(under_way) >= _RUN_LIMIT_FACTOR * max_runs


def no_worker(bridge: steps.Bridge) -> str | None:
    """Return why no worker can take a run at present, or None."""
    return bridge.workers.fault() if bridge.workers is not None else None


def order_keys(given: Sequence[str]) -> list[str]:
    """Return the keys that a run's configuration names.

    Raises:
        OrdersFailed: one of them is no key; the message does not repeat it.
    """
    for number, key in enumerate(given, 1):
        if not is_key(key):
            raise OrdersFailed(
                f"order key {number} of the run's configuration is none: write one that "
                f"`mmbot orders` lists, e.g. {EXAMPLE_KEY}"
            )
    return list(given)


def sensor_run(context: dg.SensorEvaluationContext) -> Run:
    """Return the `Run` of a sensor's tick, under which its changes are recorded."""

    def log(text: str) -> None:
        context.log.info(text)  # Dagster makes a file for the tick as soon as it is asked for `log`

    return Run(id=f"sensor {context.sensor_name}", log=log)


def op_run(context: dg.OpExecutionContext, bridge: steps.Bridge) -> Run:
    """Return the `Run` of an op, under which its changes are recorded."""
    if bridge.rules.dry_run:
        context.log.warning("MMBOT_DRY_RUN is true: nothing is signed or sent")
    return Run(id=context.run_id, log=context.log.info)


def step_op(name: str, do: Callable[[steps.Bridge, Sequence[str], Run], None]) -> dg.OpDefinition:
    """Return an op that calls a step with the configured orders."""

    purpose = (do.__doc__ or "").partition("\n")[0]

    @dg.op(name=name, description=purpose, config_schema={"order_keys": [dg.String]})
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        with operator_errors():
            keys, run = order_keys(context.op_config["order_keys"]), op_run(context, bridge)
            steps.record_run(bridge, run.id, keys)
            with parked_is_green(context):
                do(bridge, keys, run)

    return op


@contextmanager
def parked_is_green(context: dg.OpExecutionContext) -> Iterator[None]:
    """Let a run succeed whose only failures are what strangers did with their own orders.

    Such an order is parked: the check `no_order_is_parked` is red for it, and names it.

    Raises:
        OrdersFailed: something else failed, too.
    """
    try:
        yield
    except OrdersFailed as e:
        if e.is_own_fault:
            raise
        context.log.warning(f"{e}\nparked for a person; nothing else failed")


def reprocess_one(context: dg.OpExecutionContext, bridge: steps.Bridge, key: str) -> None:
    """Retry one order at a person's request, in the run of `context`."""
    with operator_errors():
        tagged_order(context, bridge, key)
        steps.record_run(bridge, context.run_id, [key])
        steps.reprocess(bridge, [key], op_run(context, bridge))


def tagged_order(context: dg.OpExecutionContext, bridge: steps.Bridge, key: str) -> Order:
    """Return an order that there is, and tag the run of `context` with it.

    Raises:
        OrdersFailed: there is none; the run stays untagged.
    """
    order_keys([key])
    found = bridge.store.orders.get([key])
    if not found:
        raise OrdersFailed(
            f"no order {key!r}: give one that `mmbot orders` lists, e.g. {EXAMPLE_KEY}"
        )
    context.instance.add_run_tags(context.run_id, order_tags([key]))
    return found[0]
