"""Why a paid order's claim would revert: the payment may not be there, or not any more.

Nothing was sent, so that looking again costs nothing; and the money is out, so that nothing
is given up for what one node says.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.accounts import TRANSFER
from mmbot_pipelines.bridge.failures import Work, fault_of
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import (
    Failure,
    LostRace,
    NotShown,
    RevertForeseen,
    TakenBack,
    TryLater,
)
from mmbot_pipelines.core.outbox import Transaction, TxState

# How often a payment of another program is looked for, with growing waits, until we pay.
_LOOKS = 3


class ClaimRefused(TryLater):
    """The claim of a paid order would revert, so nothing was sent and no gas was spent."""


def refused(work: Work, foreseen: Sequence[tuple[Order, Failure]]) -> None:
    """Store with orders why their claims are not sent, and pay again what nobody has paid."""
    reverts = [order for order, failure in foreseen if isinstance(failure, RevertForeseen)]
    used = dict(zip(reverts, work.bridge.registry.used(reverts), strict=True)) if reverts else {}
    for order, failure in foreseen:
        if order not in used:
            work.fail(order, failure)
        elif used[order]:
            work.fail(order, ClaimRefused(str(failure)))
        else:
            _not_shown(work, order, failure)


def _not_shown(work: Work, order: Order, failure: Failure) -> None:
    why = f"L1 does not show the transfer {order.transfer_tx} now: {failure}"
    shown, ours = NotShown(why), _in_hand(work, order)
    if any(not _final(work, row) for row in ours):
        work.fail(order, shown)  # should it be taken back, `recheck` finds that by its receipt
    elif ours:
        work.fail(order, ClaimRefused(f"{why}; is this the registry that it was paid in?"))
    elif order.failures + 1 < min(_LOOKS, work.bridge.rules.max_attempts):
        work.set_back(order, order, shown)  # the other program's may well be mined again
    else:
        _unpaid(work, order)


def _in_hand(work: Work, order: Order) -> list[Transaction]:
    """List the transfers of ours that have paid it, or may yet."""
    return [
        row
        for row in work.bridge.orders.transactions(order.key)
        if row.purpose == TRANSFER and row.state in (TxState.STORED, TxState.MINED)
    ]


def _final(work: Work, row: Transaction) -> bool:
    depth = work.bridge.rules.l1_finality_blocks
    return row.block is not None and row.block.number < work.bridge.chain.head().number - depth


def _unpaid(work: Work, order: Order) -> None:
    at, orders = work.bridge.clock(), work.bridge.orders
    why = f"L1 took back {order.transfer_tx}, in which another program had paid it"
    after = order.after(Fact.UNPAID, at=at, reason=why)
    fault = fault_of(order, TakenBack(why), work.step)
    try:
        orders.change(order, after, run_id=work.run.id, at=at, fault=fault)
        work.run.say(f"{order.key}: {why}; now {after.status}")
    except LostRace:
        work.run.say(f"{order.key}: another run has taken it further")
