"""How a change of an order is stored: its row, its history and its error, all or nothing.

Every function that takes a unit of work writes into the caller's transaction; the others store
in one of their own. A row is written only if nobody has changed it since it was read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.journal import HistoryEntry, Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork, Cursor, Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash, format_ether
from mmbot_pipelines.core.outbox import TxState

TAKEN_UP = "taken up again"
CONCURRENTLY = "order changed concurrently by another run; skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one order."""

    before: Order
    after: Order
    tx: TxHash | None = None
    fault: Fault | None = None

    @property
    def is_recorded(self) -> bool:
        """Return whether it gets a row of history."""
        return self.fault is not None or _progress(self.before) != _progress(self.after)

    @property
    def frees(self) -> bool:
        """Return whether a run is asked for the order again.

        After its acceptance the same run goes on with it. A change of its reason alone would have
        an order that waits taken without end.
        """
        return self.is_recorded and not _accepts(self.before, self.after)


def change(
    bridge: Bridge,
    run: Run,
    before: Order,
    after: Order,
    *,
    tx: TxHash | None = None,
    fault: Fault | None = None,
    taken: bool = False,
) -> Order | None:
    """Store an order's change and return it; None, and a line in the log, after a lost race."""
    try:
        with bridge.store.begin() as uow:
            return record(
                uow,
                before,
                after,
                run_id=run.id,
                at=bridge.clock(),
                tx=tx,
                fault=fault,
                taken=taken,
            )
    except ConcurrentUpdate:
        run.log(f"{before.key}: {CONCURRENTLY}")
        return None


def change_all(bridge: Bridge, run: Run, changes: Sequence[Change]) -> list[Order]:
    """Store changes of orders in one transaction; return the orders that nobody else changed."""
    with bridge.store.begin() as uow:
        held = {order.key for order in uow.orders.lock([c.before for c in changes])}
        ours = [c for c in changes if c.before.key in held]
        stored = record_all(uow, ours, run_id=run.id, at=bridge.clock())
    for lost in changes:
        if lost.before.key not in held:
            run.log(f"{lost.before.key}: {CONCURRENTLY}")
    return stored


def record_error(bridge: Bridge, run: Run, fault: Fault) -> None:
    """Keep an error that belongs to no change of an order."""
    with bridge.store.begin() as uow:
        uow.errors.add([fault], at=bridge.clock(), run_id=run.id)


def release(bridge: Bridge, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
    """Let orders be taken as if they had been at that time, or never: their run ended."""
    with bridge.store.begin() as uow:
        uow.orders.release(keys, asked_at=asked_at)


def record_run(bridge: Bridge, run_id: str, keys: Sequence[str]) -> None:
    """Record that a run works on these orders, those of them that are stored."""
    with bridge.store.begin() as uow:
        uow.orders.record_run(run_id, keys, at=bridge.clock())


def forget_runs(bridge: Bridge, *, before: datetime) -> int:
    """Delete which orders runs worked on that began before; return how many rows."""
    with bridge.store.begin() as uow:
        return uow.orders.forget_runs(before=before)


def record(
    uow: BridgeUnitOfWork,
    before: Order,
    after: Order,
    *,
    run_id: str,
    at: datetime,
    tx: TxHash | None = None,
    fault: Fault | None = None,
    taken: bool = False,
) -> Order:
    """Write an order's change, its history row and its error.

    taken: the caller's run goes on with the order, so no other run is asked for now.

    Raises:
        ConcurrentUpdate: somebody changed the order since; nothing was written.
        ValueError: `after` is another order, or its money is not what the escrow logged.
    """
    change = Change(before=before, after=after, tx=tx, fault=fault)
    return record_all(uow, [change], run_id=run_id, at=at, taken=taken)[0]


def record_all(
    uow: BridgeUnitOfWork,
    changes: Sequence[Change],
    *,
    run_id: str,
    at: datetime,
    taken: bool = False,
) -> list[Order]:
    """Write changes of several orders as `record` writes one; return the orders.

    Raises:
        ConcurrentUpdate: somebody changed one of them; nothing may be kept of this unit of work.
        ValueError: as `record`.
    """
    for change in changes:
        if _content(change.before) != _content(change.after):
            raise ValueError(f"{change.before.key}: a step cannot change what the escrow logged")
    return _record(uow, changes, run_id=run_id, at=at, taken=taken)


def record_other_content(
    uow: BridgeUnitOfWork,
    before: Order,
    after: Order,
    *,
    run_id: str,
    at: datetime,
    fault: Fault,
) -> Order:
    """Write what the escrow logs now under an unpaid order's number: other content.

    The only change of recipient, amount and fee; of an order that is paid it may change the
    fee, which no transfer carries.

    Raises:
        ConcurrentUpdate: the order was changed since, or a transfer of what it was is undecided
            or mined; nothing may be kept of this unit of work.
        ValueError: it is paid, or `after` has another number.
    """
    same_payment = (before.recipient, before.amount) == (after.recipient, after.amount)
    if before.key != after.key or not (same_payment or after.status is Status.PENDING):
        raise ValueError(f"{before.key}: only an unpaid order can have other content")
    change = Change(before=before, after=after, tx=after.set_order_tx, fault=fault)
    (stored,) = _record(uow, [change], run_id=run_id, at=at)
    # The row is locked by now: a signer for this order waits, and finds it changed.
    for row in uow.outbox.of(before.key):
        pays = row.serves(before.key, TRANSFER) and row.state in (TxState.STORED, TxState.MINED)
        if pays and not same_payment:
            raise ConcurrentUpdate(
                f"{before.key}: transfer {row.hash} of what it was may pay, or has paid"
            )
    return stored


def record_scan(
    uow: BridgeUnitOfWork, origin: str, kind: Cursor, scan: Scan, *, run_id: str, at: datetime
) -> list[str]:
    """Write the new orders of a scan, its faults and the cursor; return the new orders' keys.

    A stored order is never overwritten: one that the scan has with other content is an error
    of kind OrderChanged. An error that a scan has stored before is not stored again.
    """
    new = uow.orders.insert(scan.orders)
    uow.orders.add_history(
        [
            (
                order.key,
                HistoryEntry(
                    before=None,
                    after=order.status,
                    at=at,
                    run_id=run_id,
                    tx=order.set_order_tx,
                    reason=None,
                ),
            )
            for order in new
        ]
    )
    stored = {order.key: order for order in uow.orders.get([o.key for o in scan.orders])}
    differing = [
        _differs(stored[order.key], order)
        for order in scan.orders
        if _content(stored[order.key]) != _content(order)
    ]
    uow.errors.add([*scan.faults, *differing], at=at, run_id=run_id, scanned=True)
    uow.orders.move_cursor(origin, kind, scan.last)
    return [order.key for order in new]


def _record(
    uow: BridgeUnitOfWork,
    changes: Sequence[Change],
    *,
    run_id: str,
    at: datetime,
    taken: bool = False,
) -> list[Order]:
    if taken:
        stored = uow.orders.update([(c.before, c.after) for c in changes], asked_at=at)
    else:
        stored = uow.orders.update([(c.before, c.after) for c in changes if c.frees], asked_at=None)
        stored += uow.orders.update([(c.before, c.after) for c in changes if not c.frees])
    uow.orders.add_history(
        [
            (
                c.before.key,
                HistoryEntry(
                    before=c.before.status,
                    after=c.after.status,
                    at=at,
                    run_id=run_id,
                    tx=c.tx,
                    reason=_reason(c.before, c.after, c.fault),
                ),
            )
            for c in changes
            if c.is_recorded
        ]
    )
    if faults := [c.fault for c in changes if c.fault is not None]:
        uow.errors.add(faults, at=at, run_id=run_id)
    by_key = {order.key: order for order in stored}
    return [by_key[c.before.key] for c in changes]


def _content(order: Order) -> tuple[object, ...]:
    """Return what never changes about an order, because money depends on it."""
    return order.key, order.recipient, order.amount, order.fee


def _progress(order: Order) -> tuple[object, ...]:
    """Return what gets a row of history when it changes."""
    return order.status, order.failed, order.is_parked, order.failures


def _accepts(before: Order, after: Order) -> bool:
    """Return whether the run that was asked for is only half done: it sends what it accepted."""
    return before.status is Status.PENDING and after.status is Status.PROCESSING


def _reason(before: Order, after: Order, fault: Fault | None) -> str | None:
    """Return why an order changed, for its history."""
    if fault is not None:
        return after.reason or fault.message
    return after.reason or (TAKEN_UP if before.status is after.status else None)


def _differs(stored: Order, scanned: Order) -> Fault:
    """Return the error of a stored order that the escrow logs with other content."""
    first, now = (
        f"{format_ether(order.amount)} to {order.recipient} for a fee of {format_ether(order.fee)}"
        for order in (stored, scanned)
    )
    message = f"stored as {first}, now logged as {now}; the first stays"
    return Fault(subject=stored.key, step="scan", kind="OrderChanged", message=message)
