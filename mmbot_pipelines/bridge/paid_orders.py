"""Orders that the registry has as paid, by a transfer that is not stored.

Reads the chain, writes the store. Another program paid them, or this one did before its database
was restored from a backup: they are claimed like any other, for which the transaction that paid
them must be known.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import ASK_AGAIN_SECONDS, HALTED_ASK_AGAIN_SECONDS, Work
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.transitions import release
from mmbot_pipelines.core.safety import State, effective_state

# Orders whose payment one run searches for.
_SEARCHES = 5
_USED = "the registry has this transfer already"
_SEARCHING = "waiting: it is paid already, its transaction is searched for"


def split_paid(work: Work, paid: list[Order], orders: Sequence[Order]) -> list[Order]:
    """Add the orders that the registry has as paid to `paid`; return the others."""
    used = dict(zip([o.key for o in orders], work.bridge.registry.used(orders), strict=True))
    paid += [order for order in orders if used[order.key]]
    return [order for order in orders if not used[order.key]]


def search_paid(work: Work, paid: Sequence[Order]) -> None:
    """Take paid orders up at the claim, some of them in one run: each payment is searched for."""
    left = list(paid[_SEARCHES:])
    for order in paid[:_SEARCHES]:
        work.in_batches(order.origin, [order], partial(_search, work, left))
    for order in paid[_SEARCHES:]:
        work.wait(order, _SEARCHING)
    _search_while_halted(work.bridge, left)


def _search(work: Work, left: list[Order], orders: Sequence[Order]) -> None:
    for order in orders:
        tx = work.bridge.registry.paid_in(order, below=order.searched_below)
        if isinstance(tx, int):
            work.wait(order, _SEARCHING, searched_below=tx)
            work.run.log(f"{order.key}: {_SEARCHING}, it is in no block from {tx} on")
            left.append(order)
        elif work.advance(order, Fact.PAID, tx=tx, reason=_USED):
            work.run.log(f"{order.key}: paid already in {tx}, taken up at the claim")


def _search_while_halted(bridge: Bridge, left: Sequence[Order]) -> None:
    """Let paid orders be asked for again soon, also where a halt keeps all others waiting."""
    if not left:
        return
    states = bridge.store.safety.scope_states()
    halted = [o.key for o in left if effective_state(states, o.origin).state is State.HALTED]
    if halted:
        early = timedelta(seconds=HALTED_ASK_AGAIN_SECONDS - ASK_AGAIN_SECONDS)
        release(bridge, halted, asked_at=bridge.clock() - early)
