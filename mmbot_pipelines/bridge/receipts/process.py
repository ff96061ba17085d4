"""See what became of the transactions that were sent."""

from collections.abc import Iterator, Sequence
from functools import partial

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.guard import guard_failures
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import batch_fault
from mmbot_pipelines.bridge.receipts.batches import claims_fault, with_failed_parts
from mmbot_pipelines.bridge.receipts.meaning import change_of, claim_change_of, log_line
from mmbot_pipelines.bridge.sending.batches import free_lane
from mmbot_pipelines.bridge.sending.lane import for_each_wallet
from mmbot_pipelines.bridge.sending.still_wanted import still_wanted
from mmbot_pipelines.bridge.transitions import Change, record_all
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    Failure,
)
from mmbot_pipelines.core.outbox import Outcome, Transaction, TxState, by_wallet
from mmbot_pipelines.core.outcomes import outcomes


def process_receipts(bridge: Bridge, run: Run) -> int:
    """Take orders on by the receipts of their transactions; return how many are left.

    A row that no node knows any more is broadcast again by the way, though not at every look,
    and a late transfer only if it is still wanted. What fails for one wallet keeps no other's
    receipts back.

    Raises:
        Failure: a chain could not be asked about a wallet.
    """
    rows = by_wallet(bridge.store.outbox.in_flight())
    return sum(for_each_wallet(bridge, rows, partial(_process, run)))


def _process(run: Run, bridge: Bridge, waiting: Sequence[Transaction]) -> int:
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
            found = change_of(bridge, order, outcome, run)
            if isinstance(found, Change):
                changes.append(found)
                lines.append(log_line(found.before, found.after, outcome))
            elif found is not None:
                faults.append(found)
        if (fault := batch_fault(outcome) or claims_fault(outcome)) is not None:
            faults.append(fault)
    now = bridge.clock()
    with bridge.store.begin() as uow:
        uow.outbox.decide(decided)
        # In the order of keys, as everyone locks orders who changes several.
        uow.orders.lock([change.before for change in changes])
        stored = record_all(uow, changes, run_id=run.id, at=now)
        record_all(uow, _claim_changes(bridge, decided, stored), run_id=run.id, at=now)
        uow.errors.add(faults, at=now, run_id=run.id)
    free_lane(bridge)
    for line in lines:
        run.log(line)
    for fault in faults:
        run.log(f"{fault.subject}: {fault.message}")


def _claim_changes(
    bridge: Bridge, decided: Sequence[Outcome], stored: Sequence[Order]
) -> list[Change]:
    """Return what batches mean for the claims of the orders that they have paid.

    In the same database transaction: no run is asked for a claim that is mined already.
    """
    changed = {order.key: order for order in stored}
    found = (
        claim_change_of(bridge, changed[key], outcome)
        for outcome in decided
        for key in outcome.subjects
        if key in changed
    )
    return [change for change in found if change is not None]
