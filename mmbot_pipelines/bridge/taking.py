"""Which orders a run is asked for now: taken in the database, each by one run at a time."""

from collections.abc import Callable, Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.confirmations import confirmed_ranges
from mmbot_pipelines.bridge.failures import ASK_AGAIN_SECONDS, HALTED_ASK_AGAIN_SECONDS
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.sending.batches import is_taken
from mmbot_pipelines.bridge.transitions import release
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.safety import State, effective_state

# Orders of one origin that runs are asked for in one tick: so many in each run, and in all. A run
# of a hundred takes two seconds and some megabytes.
MAX_PER_RUN = 100
_MAX_PER_TICK = 400

_UNPAID = {Status.PENDING, Status.PROCESSING}


def take_orders(
    bridge: Bridge, statuses: Sequence[Status], origin: str | None = None, *, max_runs: int = 1
) -> list[Order]:
    """Take the orders that runs shall be asked for now: none while no worker can take a run.

    max_runs: among which they are shared; while the origin is throttled it is one.
    """
    if bridge.workers is not None and bridge.workers.fault() is not None:
        return []
    if bridge.rules.dry_run:
        statuses = [s for s in statuses if s is Status.PENDING]
    if not bridge.store.orders.is_any(statuses, origin):
        return []
    if bridge.rules.batching is not None and origin is None and Status.FULFILLED in statuses:
        each = [take_orders(bridge, statuses, name) for name in bridge.origins]
        return [order for orders in each for order in orders]
    if is_taken(bridge) and not _is_served_otherwise(bridge, statuses, origin):
        return []
    again, confirmed = ASK_AGAIN_SECONDS, None
    if origin is not None and _UNPAID.issuperset(statuses):
        again = HALTED_ASK_AGAIN_SECONDS if _is(bridge, origin, State.HALTED) else again
        tiers, l2 = bridge.rules.confirmations, bridge.origins[origin]
        if tiers:
            head = l2.head(Cursor.LATEST).number
            confirmed = confirmed_ranges(tiers, head, lambda: l2.final().number)
    max_orders = _max_orders(bridge, origin, max_runs)
    with bridge.store.begin() as uow:
        orders = uow.orders.take_for_run(
            statuses,
            origin,
            at=bridge.clock(),
            retake_after_seconds=again,
            confirmed=confirmed,
            fresh=not _is_collecting(bridge, statuses, origin),
            max_orders=max_orders,
        )
    orders = reachable(bridge, orders)
    if orders:
        failpoints.failpoint(failpoints.Point.ASKED)
    return orders


def _is_served_otherwise(bridge: Bridge, statuses: Sequence[Status], origin: str | None) -> bool:
    """Return whether a step needs no transaction of L1: a claim that a prover works on."""
    claims = list(statuses) == [Status.FULFILLED] and origin is not None
    return claims and bridge.origins[origin or ""].claim_gas == 0


def _max_orders(bridge: Bridge, origin: str | None, max_runs: int) -> int:
    if max_runs == 1 or (origin is not None and is_throttled(bridge, origin)):
        return MAX_PER_RUN
    return min(max_runs * MAX_PER_RUN, _MAX_PER_TICK)


def is_throttled(bridge: Bridge, origin: str) -> bool:
    """Return whether an origin's orders shall go one run after the other."""
    return effective_state(bridge.store.safety.scope_states(), origin).is_slowed


def _is_collecting(bridge: Bridge, statuses: Sequence[Status], origin: str | None) -> bool:
    """Return whether an origin's newly paid orders wait to be claimed with others."""
    batching = bridge.rules.batching
    if batching is None or origin is None or Status.FULFILLED not in statuses:
        return False
    if bridge.origins[origin].max_batch == 1:
        return False
    found = bridge.store.orders.collected(origin, max_orders=batching.max_orders)
    if found is None:
        return False
    age = (bridge.clock() - found.oldest).total_seconds()
    return not batching.is_due(orders=found.orders, age_seconds=age, amount=found.amount)


def _is(bridge: Bridge, origin: str, state: State) -> bool:
    return effective_state(bridge.store.safety.scope_states(), origin).state is state


def reachable(bridge: Bridge, orders: Sequence[Order]) -> list[Order]:
    """Return the orders whose chains answer; the others can be asked for again at once."""
    if not orders:
        return []
    if not _answers(bridge.chain.head):
        found: list[Order] = []
    else:
        away = {
            name
            for name in sorted({o.origin for o in orders})
            if not _answers(lambda name=name: bridge.origins[name].head(Cursor.LATEST))  # type: ignore[misc]
        }
        found = [o for o in orders if o.origin not in away]
    if left := {o.key for o in orders}.difference(o.key for o in found):
        release(bridge, sorted(left))
    return found


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except RpcUnavailable:
        return False
    except Failure:
        # An answer, though a wrong one: the run stores it with the orders that it concerns, and
        # the orders of other chains go on.
        return True
    return True
