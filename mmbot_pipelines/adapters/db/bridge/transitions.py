"""What one step of an order writes, all in the caller's database transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.bridge.rows import Values, order_of, step_values
from mmbot_pipelines.adapters.db.tables.orders import errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import TxState

RESUMED = "taken up again"


def write_transition(
    connection: Connection,
    before: Order,
    after: Order,
    *,
    run_id: str,
    at: datetime,
    tx: TxHash | None = None,
    fault: Fault | None = None,
    taken: bool = False,
) -> Order:
    """Write an order's change, its history row and its error, if the row is still `before`.

    Every change makes the order ready to be asked for again, but for its acceptance, as
    the same run goes on with it, and one of its reason alone: an order that waits would
    be asked for without end.
    taken: the same run goes on with it: as if `ask` had returned it at `at`.

    Raises:
        ConcurrentUpdate: somebody changed the order since; nothing was written.
        ValueError: `after` is another order, or its money is not what the escrow logged.
    """
    if identity(before) != identity(after):
        raise ValueError(f"{before.key}: a step cannot change what the escrow logged")
    asked: Values = {"asked_at": at} if taken else {}
    return _write(connection, before, after, asked, run_id=run_id, at=at, tx=tx, fault=fault)


def write_relocated(
    connection: Connection,
    before: Order,
    after: Order,
    *,
    run_id: str,
    at: datetime,
    fault: Fault,
) -> Order:
    """Write other content under an order's number, if nothing pays what stood there before.

    Where recipient and amount stay, what pays the one pays the other.

    Raises:
        ConcurrentUpdate: the order was changed since, or a transfer of it is undecided or mined;
            nothing was written.
        ValueError: it is paid, or `after` has another number.
    """
    same_payment = (before.recipient, before.amount) == (after.recipient, after.amount)
    if before.key != after.key or not (same_payment or after.status is Status.PENDING):
        raise ValueError(f"{before.key}: only an unpaid order can be relocated with other content")
    content = {"recipient": after.recipient, "amount": after.amount, "fee": after.fee}
    is_recorded_change = _write(
        connection, before, after, content, run_id=run_id, at=at, tx=after.set_order_tx, fault=fault
    )
    # The row is locked by now: whoever signs for this order waits, and finds it changed.
    paying = connection.scalar(
        select(transactions.c.hash).where(
            transactions.c.subject == before.key,
            transactions.c.purpose == TRANSFER,
            transactions.c.state.in_([TxState.STORED.value, TxState.MINED.value]),
        )
    )
    if paying is not None and not same_payment:
        raise ConcurrentUpdate(
            f"{before.key}: transfer {paying} of what it was may pay, or has paid"
        )
    return is_recorded_change


def _write(
    connection: Connection,
    before: Order,
    after: Order,
    content: Values,  # further columns
    *,
    run_id: str,
    at: datetime,
    tx: TxHash | None,
    fault: Fault | None,
) -> Order:
    is_recorded_change = fault is not None or is_recorded(before) != is_recorded(after)
    asked: Values = (
        {"asked_at": None} if is_recorded_change and not is_acceptance(before, after) else {}
    )
    row = connection.execute(
        update(orders)
        .where(
            orders.c.key == before.key,
            orders.c.version == before.version,
            orders.c.status == before.status.value,
        )
        .values(**(asked | content), **step_values(after), version=before.version + 1)
        .returning(orders)
    ).one_or_none()
    if row is None:
        raise ConcurrentUpdate(
            f"{before.key} was changed by somebody else since it was {before.status}"
        )
    if is_recorded_change:
        connection.execute(
            insert(order_events).values(
                key=before.key,
                before=before.status.value,
                after=after.status.value,
                at=at,
                run_id=run_id,
                tx=tx,
                reason=history_reason(before, after, fault),
            )
        )
    if fault is not None:
        write_errors(connection, [fault], at=at, run_id=run_id)
    return order_of(row)


def write_errors(
    connection: Connection,
    faults: Sequence[Fault],
    *,
    at: datetime,
    run_id: str,
    scanned: bool = False,
) -> None:
    """Append errors; those of a scan only where a scan has not told them before."""
    if not faults:
        return
    rows = [
        {"subject": f.subject, "step": f.step, "kind": f.kind, "message": f.message}
        | {"at": at, "run_id": run_id, "scanned": scanned}
        for f in faults
    ]
    connection.execute(postgresql.insert(errors).on_conflict_do_nothing(), rows)


def identity(order: Order) -> tuple[object, ...]:
    """Return what never changes about an order, because money depends on it."""
    return order.key, order.recipient, order.amount, order.fee


def is_recorded(order: Order) -> tuple[object, ...]:
    """Return what gets a row of history when it changes."""
    return order.status, order.failed, order.is_parked, order.failures


def is_acceptance(before: Order, after: Order) -> bool:
    """Tell whether the run that was asked for is only half done: it sends what it accepted."""
    return before.status is Status.PENDING and after.status is Status.PROCESSING


def history_reason(before: Order, after: Order, fault: Fault | None) -> str | None:
    """Say in history why an order changed."""
    if fault is not None:
        return after.reason or fault.message
    return after.reason or (RESUMED if before.status is after.status else None)
