"""What a scan of an origin's blocks writes, all in the caller's database transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Connection, Text, and_, any_, delete, insert, literal, select, update
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.bridge.rows import order_of, order_values
from mmbot_pipelines.adapters.db.bridge.transitions import identity, write_errors
from mmbot_pipelines.adapters.db.tables.orders import blocks, order_events, orders
from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.outbox import Block


def write_scan(
    connection: Connection, origin: str, kind: Cursor, scan: Scan, *, at: datetime, run_id: str
) -> list[str]:
    """Write new orders with their first history row, faults and the cursor.

    Returns the keys that were new, in the scan's order.
    """
    new = _insert_new(connection, scan.orders)
    if new:
        first = {"before": None, "at": at, "run_id": run_id}
        rows = [first | {"key": o.key, "after": o.status.value, "tx": o.set_order_tx} for o in new]
        connection.execute(insert(order_events), rows)
    changed = _content_changed(connection, scan.orders)
    write_errors(connection, [*scan.faults, *changed], at=at, run_id=run_id, scanned=True)
    _move_cursor(connection, origin, kind, scan.last)
    return [order.key for order in new]


def write_rewind(
    connection: Connection, origin: str, kind: Cursor, seen: Block, to: Block | None
) -> None:
    """Set a cursor back, if it still is at `seen`.

    Raises:
        ConcurrentUpdate: the cursor was moved since; nothing was written.
    """
    still = and_(
        blocks.c.network == origin,
        blocks.c.kind == kind.value,
        blocks.c.number == seen.number,
        blocks.c.hash == seen.hash,
    )
    back = delete(blocks) if to is None else update(blocks).values(number=to.number, hash=to.hash)
    if connection.scalar(back.where(still).returning(blocks.c.network)) is None:
        raise ConcurrentUpdate(
            f"the cursor {kind} of {origin} was moved since it was at {seen.number}"
        )


def _insert_new(connection: Connection, scanned: Sequence[Order]) -> list[Order]:
    once: dict[str, Order] = {}
    for order in scanned:
        once.setdefault(order.key, order)
    if not once:
        return []
    # sorted, so that two scans of the same blocks never wait for each other in a circle
    rows = [order_values(once[key]) for key in sorted(once)]
    inserted = connection.scalars(
        postgresql.insert(orders).on_conflict_do_nothing().returning(orders.c.key), rows
    )
    new = set(inserted)
    return [order for order in once.values() if order.key in new]


def _content_changed(connection: Connection, scanned: Sequence[Order]) -> list[Fault]:
    keys = literal([order.key for order in scanned], ARRAY(Text))
    rows = connection.execute(select(orders).where(orders.c.key == any_(keys)))
    stored = {order.key: order for order in map(order_of, rows)}
    return [
        changed(stored[order.key], order)
        for order in scanned
        if identity(stored[order.key]) != identity(order)
    ]


def changed(stored: Order, scanned: Order) -> Fault:
    """Say that the escrow tells a stored order differently now, alike at every rescan."""
    return Fault(
        subject=stored.key,
        step="scan",
        kind="OrderChanged",
        message=f"stored as {_content(stored)}, now logged as {_content(scanned)}; the first stays",
    )


def _content(order: Order) -> str:
    return (
        f"{format_ether(order.amount)} to {order.recipient} for a fee of {format_ether(order.fee)}"
    )


def _move_cursor(connection: Connection, origin: str, kind: Cursor, last: Block) -> None:
    moved = postgresql.insert(blocks).values(
        network=origin, kind=kind.value, number=last.number, hash=last.hash
    )
    connection.execute(
        moved.on_conflict_do_update(
            index_elements=[blocks.c.network, blocks.c.kind],
            set_={"number": moved.excluded.number, "hash": moved.excluded.hash},
            where=blocks.c.number <= moved.excluded.number,
        )
    )
