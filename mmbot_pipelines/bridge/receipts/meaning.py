"""What one transaction's outcome means for one of its orders. Reads chain and store."""

from dataclasses import replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import after_failure, fault_of
from mmbot_pipelines.bridge.guard import halt_now
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import (
    batch_failure,
    has_failed_part,
    is_left_out,
)
from mmbot_pipelines.bridge.ports.accounts import CANCEL, REPAY, TRANSFER
from mmbot_pipelines.bridge.receipts.batches import (
    claim_in_batch,
    claim_part_failure,
    part_failure,
    pays_other_order,
)
from mmbot_pipelines.bridge.reverts import is_recipients_doing, market_maker_refusal
from mmbot_pipelines.bridge.transitions import Change
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import (
    Failure,
    Halts,
    NonceTaken,
    RecipientRefused,
    ReorgAfterPayment,
    Reverted,
    TryAgain,
)
from mmbot_pipelines.core.money import TxHash, format_ether, format_gwei
from mmbot_pipelines.core.outbox import Outcome, Transaction, TxState

_FACTS = {
    TxState.MINED: Fact.MINED,
    TxState.REVERTED: Fact.REVERTED,
    TxState.LOST: Fact.LOST,
}


def change_of(bridge: Bridge, order: Order, outcome: Outcome, run: Run) -> Change | Fault | None:
    """Return what it means for an order; an error alone, where the order stays as it is."""
    transaction, now, tx = outcome.transaction, bridge.clock(), outcome.transaction.hash
    if _pays_replaced_order(bridge, order, outcome):
        return fault_of(order, _replaced_order_paid(order, outcome), transaction.purpose)
    fact = _fact_for(order, outcome)
    if fact is None:
        return None
    if (why := _given_up(order, outcome)) is not None:
        # Prices or a changed mind took it back, not a failure: it is decided about again.
        return Change(before=order, after=order.after(fact, at=now, reason=why), tx=tx)
    mined = fact in (Fact.MINED, Fact.PAID)
    after = order.after(fact, at=now, tx=tx if mined else None)
    if mined and transaction.purpose == TRANSFER and order.claim_tx is None:
        after = replace(after, claim_tx=_claim_behind(bridge, order, transaction))
    failure = None if mined else _failure(bridge, order, outcome)
    if isinstance(failure, Halts):
        # Before the order is set back: should we die here, the receipt is read again.
        halt_now(bridge, run, failure)
        after = after.with_wait_reason(failure.reason, at=now)
        return Change(before=order, after=after, tx=tx)
    if failure is None:
        return Change(before=order, after=after, tx=tx)
    # One failure on top of those before the transaction: it was no progress.
    after = after_failure(bridge, replace(after, failures=order.failures), failure)
    fault = fault_of(order, failure, transaction.purpose)
    return Change(before=order, after=after, tx=tx, fault=fault)


def claim_change_of(bridge: Bridge, order: Order, outcome: Outcome) -> Change | None:
    """Return what a mined batch means for the claim of an order that it has paid."""
    part = claim_in_batch(order, outcome)
    if part is None or order.status is not Status.FULFILLED:
        return None
    tx, now = outcome.transaction.hash, bridge.clock()
    if not part.failed:
        return Change(before=order, after=order.after(Fact.MINED, at=now, tx=tx), tx=tx)
    failure = claim_part_failure(order, outcome)
    after = after_failure(bridge, order.after(Fact.REVERTED, at=now), failure)
    return Change(before=order, after=after, tx=tx, fault=fault_of(order, failure, REPAY))


def _claim_behind(bridge: Bridge, order: Order, transfer: Transaction) -> TxHash | None:
    """Return the claim that was stored with a transfer; from now on the order waits for it."""
    if transfer.is_self_call:
        return transfer.hash if transfer.serves(order.key, REPAY) else None
    place = transfer.wallet, transfer.nonce + 1
    rows = bridge.store.outbox.of(transfer.subject)
    claims = [r.hash for r in rows if r.purpose == REPAY and (r.wallet, r.nonce) == place]
    return claims[-1] if claims else None


def _fact_for(order: Order, outcome: Outcome) -> Fact | None:
    """Return what a nonce's outcome means for the order; None: the order does not wait for it.

    A transfer that was mined pays the order wherever it stands, even if a later one was
    sent since: an older one comes back when L1 takes a block back.
    """
    row, fact, hashes = outcome.transaction, _FACTS[outcome.state], _hashes(outcome)
    served = row.serves(order.key, TRANSFER)
    if fact is Fact.MINED and has_failed_part(row, order):
        fact = Fact.REVERTED
    if served and fact is Fact.MINED:
        fact = Fact.MINED if order.status is Status.TRANSFERRING else Fact.PAID
    elif order.status is Status.TRANSFERRING:
        if order.transfer_tx not in hashes:
            return None
    elif order.claim_tx not in hashes:
        return None
    if row.purpose == CANCEL or is_left_out(order, outcome):
        fact = Fact.LOST
    return fact if (order.status, fact) in NEXT else None


def _pays_replaced_order(bridge: Bridge, order: Order, outcome: Outcome) -> bool:
    """Return whether a transfer was mined for what the order's number stood for before."""
    row = outcome.transaction
    if row.purpose != TRANSFER or outcome.state is not TxState.MINED:
        return False
    if row.is_self_call:
        return pays_other_order(bridge, order, outcome)
    return order.transfer_tx not in _hashes(outcome) and row.call != bridge.registry.transfer(order)


def _hashes(outcome: Outcome) -> set[str]:
    return {outcome.transaction.hash, *(rival.hash for rival in outcome.rivals)}


def _replaced_order_paid(order: Order, outcome: Outcome) -> ReorgAfterPayment:
    row = outcome.transaction
    value = next((part.value for part in row.parts if part.subject == order.key), row.call.value)
    return ReorgAfterPayment(
        f"{row.hash} paid {format_ether(value)} for the order that this number stood for "
        "before its block was reorged out: nobody owes us for it"
    )


def _failure(bridge: Bridge, order: Order, outcome: Outcome) -> Failure:
    row = outcome.transaction
    if outcome.state is TxState.MINED:
        return part_failure(bridge, order, outcome)
    if row.batch:
        refused = outcome.state is TxState.REVERTED and _refused(bridge, outcome)
        return refused or batch_failure(outcome)
    if outcome.state is TxState.REVERTED and is_recipients_doing(bridge.chain, order, outcome):
        return RecipientRefused(
            f"{row.hash} reverted by the recipient's own doing ({outcome.reason}): it is not "
            f"tried again by itself; run `mmbot retry {order.key}` once the recipient takes ETH"
        )
    if outcome.state is TxState.REVERTED:
        return _refused(bridge, outcome) or Reverted(f"{row.hash} reverted: {outcome.reason}")
    return NonceTaken(f"{row.hash} can never be mined: {outcome.reason}")


def _refused(bridge: Bridge, outcome: Outcome) -> Failure | None:
    try:
        return market_maker_refusal(bridge, outcome.reason)
    except TryAgain:
        raise
    except Failure:
        return None  # an answer that the registry does not give must not hold up the other receipts


def _given_up(order: Order, outcome: Outcome) -> str | None:
    row = outcome.transaction
    if row.purpose == CANCEL and outcome.receipt is not None:
        return _cancelled(order, row)
    if is_left_out(order, outcome):
        return f"its {row.purpose} was left out when {row.hash} replaced it"
    return None


def _cancelled(order: Order, row: Transaction) -> str:
    if order.status is Status.TRANSFERRING:
        return f"its transfer was cancelled: {row.hash} has used nonce {row.nonce}"
    return f"its claim was cancelled: {row.hash} has used nonce {row.nonce}"


def log_line(order: Order, after: Order, outcome: Outcome) -> str:
    """Return what became of an order's transaction, for the run's log."""
    receipt, transaction = outcome.receipt, outcome.transaction
    line = f"{order.key}: {transaction.purpose} {transaction.hash}"
    if receipt is None:
        return f"{line} lost: {outcome.reason}"
    cost = f"{receipt.gas_used} gas at {format_gwei(receipt.gas_price)}"
    if receipt.succeeded:
        return f"{line} mined in block {receipt.block.number}, {cost}; now {after.status}"
    return f"{line} reverted in block {receipt.block.number}, {cost}: {outcome.reason}"
