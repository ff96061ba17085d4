"""Why a paid order's claim would revert: the payment may not be there, or not any more.

Nothing was sent, so that looking again costs nothing; and the money is out, so that nothing
is given up for what one node says.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.failures import Work, fault_of
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    Failure,
    PaymentNotVisible,
    Reorged,
    SimulationReverted,
    TryLater,
)
from mmbot_pipelines.core.outbox import Transaction, TxState

# How often a payment of another program is looked for, with growing waits, until we pay.
_MAX_CHECKS = 3


class ClaimRefused(TryLater):
    """The claim of a paid order would revert, so nothing was sent and no gas was spent."""


def store_claim_reverts(work: Work, foreseen: Sequence[tuple[Order, Failure]]) -> None:
    """Store with orders why their claims are not sent, and pay again what nobody has paid."""
    reverts = [order for order, failure in foreseen if isinstance(failure, SimulationReverted)]
    used = dict(zip(reverts, work.bridge.registry.used(reverts), strict=True)) if reverts else {}
    for order, failure in foreseen:
        if order not in used:
            work.fail(order, failure)
        elif used[order]:
            work.fail(order, ClaimRefused(str(failure)))
        else:
            _payment_not_visible(work, order, failure)


def _payment_not_visible(work: Work, order: Order, failure: Failure) -> None:
    why = f"L1 does not show the transfer {order.transfer_tx} now: {failure}"
    not_visible, ours = PaymentNotVisible(why), _open_transfers(work, order)
    if any(not _final(work, row) for row in ours):
        work.fail(
            order, not_visible
        )  # should it be taken back, `check_l1_reorgs` finds that by its receipt
    elif ours:
        work.fail(order, ClaimRefused(f"{why}; is this the registry that it was paid in?"))
    elif order.failures + 1 < min(_MAX_CHECKS, work.bridge.rules.max_attempts):
        work.roll_back(order, order, not_visible)  # the other program's may well be mined again
    else:
        _unpaid(work, order)


def _open_transfers(work: Work, order: Order) -> list[Transaction]:
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
    why = f"L1 reorged out {order.transfer_tx}, in which another program had paid it"
    after = order.after(Fact.PAYMENT_REORGED, at=at, reason=why)
    fault = fault_of(order, Reorged(why), work.step)
    try:
        orders.change(order, after, run_id=work.run.id, at=at, fault=fault)
        work.run.log(f"{order.key}: {why}; now {after.status}")
    except ConcurrentUpdate:
        work.run.log(f"{order.key}: order changed concurrently by another run; skipped")
