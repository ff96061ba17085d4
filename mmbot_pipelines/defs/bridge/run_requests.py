"""How Dagster is asked for runs, and how a run finds its orders again in the UI."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.journal import Run
from mmbot_pipelines.bridge.order import Order, is_key
from mmbot_pipelines.bridge.origins import EXAMPLE_KEY
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

Bridge = dg.ResourceParam[steps.Bridge]

# The daemon comes back to a sensor after 5 seconds at the earliest: a tick that looks
# for most of that time sees a block at once, and the daemon still stops quickly.
_TICK_SECONDS = 4.0
_POLL_EVERY_SECONDS = 0.25

# Packed runs are worth their start only when they hold a good number of orders.
_MIN_PACK = 50


# Ticks whose runs may be under way at once, and how long a run can be: see max_runtime in
# dagster.yaml, after which a run that no process works on is taken for dead.
_RUN_LIMIT_FACTOR = 2
_MAX_RUNNING_FOR = timedelta(seconds=150)


ORIGIN = "origin"  # the tag of a run whose orders are all of one origin


def polls() -> Iterator[None]:
    """Yield for each look of one tick: at least once, then until the tick's time is up."""
    end = time.monotonic() + _TICK_SECONDS
    yield
    while time.monotonic() + _POLL_EVERY_SECONDS < end:
        time.sleep(_POLL_EVERY_SECONDS)
        yield


def order_tags(keys: Sequence[str]) -> dict[str, str]:
    """Tag a run with its orders: "ORIGIN/NUMBER" for each, and "order" where it is only one.

    A tag holds one value, so a run of several orders cannot name them all in one.
    """
    tags = {key.replace(":", "/"): "order" for key in keys}
    return tags | ({"order": keys[0]} if len(keys) == 1 else {})


def tagged_orders(tags: Mapping[str, str]) -> list[str]:
    """Return the order keys that a run's tags name."""
    return [key.replace("/", ":") for key, value in tags.items() if value == "order"]


def run_requests(
    op: str, origin: str, orders: Sequence[Order], max_runs: int, job: str | None = None
) -> Iterator[dg.RunRequest]:
    """Ask for one run per order, or for packed runs when more orders wait than `max_runs`.

    origin: of all these orders.
    job: which one, where the sensor asks for several.
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
    """Return whether so many runs of a job are unfinished for an origin that more only slow it."""
    under_way = dg.RunsFilter(
        job_name=job.name,
        tags={ORIGIN: origin},
        statuses=[
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
        created_after=datetime.now(UTC) - _MAX_RUNNING_FOR,
    )
    return context.instance.get_runs_count(under_way) >= _RUN_LIMIT_FACTOR * max_runs


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
    """Name a sensor's tick as the one at work."""
    return Run(id=f"sensor {context.sensor_name}", log=context.log.info)


def op_run(context: dg.OpExecutionContext) -> Run:
    """Name an op's run as the one at work."""
    return Run(id=context.run_id, log=context.log.info)


def step_op(name: str, do: Callable[[steps.Bridge, Sequence[str], Run], None]) -> dg.OpDefinition:
    """Make an op that takes the configured orders one step."""

    purpose = (do.__doc__ or "").partition("\n")[0]

    @dg.op(name=name, description=purpose, config_schema={"order_keys": [dg.String]})
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        with operator_errors():
            do(bridge, order_keys(context.op_config["order_keys"]), op_run(context))

    return op
