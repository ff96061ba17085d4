"""Ask for no run while a chain that it needs is away. Reads the chains, writes the store.

Such a run would only fail, seconds later, and its orders would wait for the next one. What is
not asked for now is asked for at the first look that finds the chain again.
"""

from collections.abc import Callable, Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Failure, RpcUnavailable


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
        bridge.orders.release(sorted(left))
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
