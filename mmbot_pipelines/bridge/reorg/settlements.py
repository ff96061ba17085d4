"""Check the escrow's payments until L1 has accepted their blocks. Reads chain, writes store.

An L2 may take hours of blocks back (one did in September 2025): a COMPLETED order has
its money only when its settlement's block is final. Until then it is read again, however
late it is, and never after.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import fault_of
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.transitions import change
from mmbot_pipelines.core.errors import Reorged
from mmbot_pipelines.core.outbox import TxState

# Settlements that one review looks at: of the newest, of those that have become final, and
# of those above a fork; the next review goes on.
_MAX_NEWEST = 500
_MAX_FINAL = 500
_MAX_FORKED = 5_000
_PACK = 500  # that one question to the L2 names

# A node that is behind does not show the newest payments: nothing was reorged out for that.
_VISIBLE_AFTER = timedelta(minutes=1)


def review_settlements(bridge: Bridge, origin: str, run: Run) -> None:
    """Check the newest settlements, and those whose blocks have become final.

    A payment may be seen before the cursor comes to its block, and be reorged out before.
    """
    now, final = bridge.clock(), bridge.origins[origin].final().number
    newest = [
        order
        for order in bridge.store.orders.newest_not_final(origin, max_orders=_MAX_NEWEST)
        if now - order.changed_at >= _VISIBLE_AFTER
    ]
    old = bridge.store.orders.not_final(origin, last=final, max_orders=_MAX_FINAL)
    _review(bridge, origin, list({o.key: o for o in [*newest, *old]}.values()), final, run)


def review_settlements_above(bridge: Bridge, origin: str, run: Run, *, first: int) -> None:
    """Check all settlements from a block on, which the L2 has replaced."""
    above = bridge.store.orders.not_final(origin, first=first, max_orders=_MAX_FORKED)
    if above:
        _review(bridge, origin, above, bridge.origins[origin].final().number, run)


def _review(bridge: Bridge, origin: str, orders: Sequence[Order], final: int, run: Run) -> None:
    if not orders:
        return
    l2 = bridge.origins[origin]
    head = l2.head(Cursor.LATEST).number
    for start in range(0, len(orders), _PACK):
        pack = orders[start : start + _PACK]
        for order, seen in zip(pack, l2.settled(pack), strict=True):
            if isinstance(seen, Settlement):
                _still_settled(bridge, order, seen, final, run)
            elif seen is None and (order.settle_block is None or order.settle_block.number <= head):
                _settlement_reorged(bridge, order, run)
            # Witnesses that differ, or are behind, prove nothing.


def _still_settled(bridge: Bridge, order: Order, seen: Settlement, final: int, run: Run) -> None:
    """Store where the settlement stands, and whether that is final."""
    known = order.claim_refund if order.settle_tx == seen.tx else None
    refund = known if seen.refund is None else seen.refund
    settled = replace(order, settle_tx=seen.tx, settle_block=seen.block, claim_refund=refund)
    after = replace(settled, settle_final=seen.block.number <= final)
    if after != order:
        change(bridge, run, order, after, tx=seen.tx)


def _settlement_reorged(bridge: Bridge, order: Order, run: Run) -> None:
    """Take an order whose payment was reorged out back from COMPLETED."""
    why = f"the escrow's payment in {order.settle_tx} was reorged out"
    after = order.after(_reorg_fact(bridge, order), at=bridge.clock(), reason=why)
    fault = fault_of(order, Reorged(why), "settle")
    if change(bridge, run, order, after, fault=fault):
        run.log(f"{order.key}: {why}; now {after.status}")


def _reorg_fact(bridge: Bridge, order: Order) -> Fact:
    """Return how far a claim is whose payment was reorged out: in no block, or given up."""
    if order.claim_ref is not None:
        return Fact.SETTLEMENT_REORGED
    rows = bridge.store.outbox.of(order.key)
    states = {r.state for r in rows if r.serves(order.key, REPAY, order.attempt)}
    if TxState.MINED in states:
        return Fact.SETTLEMENT_REORGED
    return Fact.CLAIM_REORGED if TxState.STORED in states else Fact.UNDELIVERED
