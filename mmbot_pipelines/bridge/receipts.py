"""See what became of the transactions that were sent."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.batch_receipts import (
    part_failure,
    pays_other_order,
    with_failed_parts,
)
from mmbot_pipelines.bridge.failures import BATCH_SIZE, after_failure, fault_of
from mmbot_pipelines.bridge.guard import guard_failures, halt_now
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import (
    batch_failure,
    batch_fault,
    has_failed_part,
    is_left_out,
)
from mmbot_pipelines.bridge.ports.accounts import CANCEL, REPAY, TRANSFER
from mmbot_pipelines.bridge.reverts import is_recipients_doing, market_maker_refusal
from mmbot_pipelines.bridge.sending.batches import free_lane
from mmbot_pipelines.bridge.sending.still_wanted import still_wanted
from mmbot_pipelines.bridge.transitions import Change, record_all
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    Failure,
    Halts,
    NonceTaken,
    RecipientRefused,
    ReorgAfterPayment,
    Reverted,
    StoreUnavailable,
    TryAgain,
)
from mmbot_pipelines.core.money import TxHash, format_ether, format_gwei
from mmbot_pipelines.core.outbox import Outcome, Transaction, TxState, by_wallet
from mmbot_pipelines.core.outcomes import outcomes

_FACTS = {
    TxState.MINED: Fact.MINED,
    TxState.REVERTED: Fact.REVERTED,
    TxState.LOST: Fact.LOST,
}


def process_receipts(bridge: Bridge, run: Run) -> int:
    """Take orders on by the receipts of their transactions; return how many are left.

    A row that no node knows any more is broadcast again by the way, though not at every look,
    and a late transfer only if it is still wanted. What fails for one wallet keeps no other's
    receipts back.

    Raises:
        Failure: a chain could not be asked about a wallet.
    """
    left, failure = 0, None
    for wallet, waiting in by_wallet(bridge.store.outbox.in_flight()).items():
        try:
            left += _process(bridge.with_wallet(wallet), waiting, run)
        except StoreUnavailable:
            raise
        except Failure as e:
            failure = failure or e
    if failure is not None:
        raise failure
    return left


def _process(bridge: Bridge, waiting: Sequence[Transaction], run: Run) -> int:
    """Take orders on by the receipts of one wallet's transactions; return how many are left."""
    wanted = _none if bridge.rules.dry_run else partial(still_wanted, bridge, run)
    found = outcomes(bridge.chain, waiting, bridge.rebroadcasts, bridge.clock(), wanted)
    left, failed = len(waiting), False
    for decided in _in_slices(found):
        _store(bridge, decided, run)
        left -= sum(1 + len(outcome.rivals) for outcome in decided)
        failed |= any(outcome.state is not TxState.MINED for outcome in decided)
    if failed:
        guard_failures(bridge, run)
    return left


def _none(rows: Sequence[Transaction]) -> Sequence[Transaction]:
    """Want nothing sent again: a dry run sends nothing, whatever was stored before it."""
    return []


def _in_slices(found: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    """Yield what is mined in slices, and every other outcome alone."""
    mined: list[Outcome] = []
    try:
        for outcome in found:
            if outcome.state is TxState.MINED:
                mined.append(outcome)
                continue
            yield from _slices(mined)
            mined = []
            yield [outcome]
    except Failure:
        # What a node does not answer about one keeps no other back.
        yield from _slices(mined)
        raise
    yield from _slices(mined)


def _slices(mined: Sequence[Outcome]) -> list[list[Outcome]]:
    """Divide outcomes: no order is in a slice twice, and its lower nonce comes first."""
    slices, first_free = list[list[Outcome]](), dict[str, int]()
    for outcome in mined:
        number = max(first_free.get(subject, 0) for subject in outcome.subjects)
        while number < len(slices) and len(slices[number]) == BATCH_SIZE:
            number += 1
        if number == len(slices):
            slices.append([])
        slices[number].append(outcome)
        first_free |= dict.fromkeys(outcome.subjects, number + 1)
    return slices


def _store(bridge: Bridge, decided: Sequence[Outcome], run: Run) -> None:
    """Store outcomes in one go, without those that another run has stored meanwhile.

    Where somebody else has changed an order otherwise, each is stored alone.
    """
    failpoints.failpoint(failpoints.Point.RECEIPT_READ)
    try:
        _decide(bridge, decided, run)
    except ConcurrentUpdate:
        waiting = {row.hash for row in bridge.store.outbox.in_flight()}
        left = [outcome for outcome in decided if outcome.transaction.hash in waiting]
        if len(left) == len(decided) > 1:
            for outcome in decided:
                _store(bridge, [outcome], run)
            return
        others = [o for o in decided if o not in left] or left
        subjects = ", ".join(outcome.transaction.subject for outcome in others)
        run.log(f"{subjects}: receipt processed concurrently by another run; skipped")
        if left and left != others:
            _store(bridge, left, run)
            return
    failpoints.failpoint(failpoints.Point.RECEIPT_STORED)


def _decide(bridge: Bridge, decided: Sequence[Outcome], run: Run) -> None:
    """Store what became of nonces with what it means for each order, all or nothing."""
    subjects = [subject for outcome in decided for subject in outcome.subjects]
    orders = {order.key: order for order in bridge.store.orders.get(subjects)}
    decided = [with_failed_parts(bridge, outcome, orders) for outcome in decided]
    changes: list[Change] = []
    faults: list[Fault] = []
    lines: list[str] = []
    for outcome in decided:
        for order in [orders[subject] for subject in outcome.subjects if subject in orders]:
            found = _change(bridge, order, outcome, run)
            if isinstance(found, Change):
                changes.append(found)
                lines.append(_log_line(found.before, found.after, outcome))
            elif found is not None:
                faults.append(found)
        if (fault := batch_fault(outcome)) is not None:
            faults.append(fault)
    now = bridge.clock()
    with bridge.store.begin() as uow:
        uow.outbox.decide(decided)
        # In the order of keys, as everyone locks orders who changes several.
        uow.orders.lock([change.before for change in changes])
        record_all(uow, changes, run_id=run.id, at=now)
        uow.errors.add(faults, at=now, run_id=run.id)
    free_lane(bridge)
    for line in lines:
        run.log(line)
    for fault in faults:
        run.log(f"{fault.subject}: {fault.message}")


def _change(bridge: Bridge, order: Order, outcome: Outcome, run: Run) -> Change | Fault | None:
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
        after = replace(after, claim_tx=_claim_behind(bridge, transaction))
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


def _claim_behind(bridge: Bridge, transfer: Transaction) -> TxHash | None:
    """Return the claim that was stored with a transfer; from now on the order waits for it."""
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


def _log_line(order: Order, after: Order, outcome: Outcome) -> str:
    receipt, transaction = outcome.receipt, outcome.transaction
    line = f"{order.key}: {transaction.purpose} {transaction.hash}"
    if receipt is None:
        return f"{line} lost: {outcome.reason}"
    cost = f"{receipt.gas_used} gas at {format_gwei(receipt.gas_price)}"
    if receipt.succeeded:
        return f"{line} mined in block {receipt.block.number}, {cost}; now {after.status}"
    return f"{line} reverted in block {receipt.block.number}, {cost}: {outcome.reason}"
