"""The truth about orders, in Postgres: every method is one database transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Table,
    Text,
    any_,
    delete,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from mmbot_pipelines.adapters.db.bridge import run_queue
from mmbot_pipelines.adapters.db.bridge.outbox import PgOutbox
from mmbot_pipelines.adapters.db.bridge.rows import error_of, history_of, order_of
from mmbot_pipelines.adapters.db.bridge.scan import write_rewind, write_scan
from mmbot_pipelines.adapters.db.bridge.transitions import (
    write_errors,
    write_relocated,
    write_transition,
)
from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.orders import (
    blocks,
    errors,
    order_events,
    order_runs,
    orders,
)
from mmbot_pipelines.bridge.journal import ErrorEntry, Fault, HistoryEntry
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import ConfirmedRange, Cursor, OrderFilter, Scan
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block

_OLDEST_CHANGE = (orders.c.changed_at, orders.c.origin, orders.c.number)


class PgOrders(PgOutbox):
    """The port `Orders` on Postgres.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def cursor(self, origin: str, kind: Cursor) -> Block | None:
        """Return the last block read, or None before the first."""
        wanted = select(blocks).where(blocks.c.network == origin, blocks.c.kind == kind.value)
        return next((Block(row.number, row.hash) for row in self._read(wanted)), None)

    def add(self, origin: str, kind: Cursor, scan: Scan, *, at: datetime, run_id: str) -> list[str]:
        """Store new orders and faults and move the cursor forward, all or nothing.

        Returns the keys that were new. A stored order is never overwritten: one that the
        scan tells differently is an error of kind OrderChanged. The cursor never goes back,
        and an error that a scan has told before is not stored again.
        """
        with transaction(self._engine) as connection:
            return write_scan(connection, origin, kind, scan, at=at, run_id=run_id)

    def rewind(self, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
        """Set a cursor back from `seen` to an earlier block, or to before the first.

        Raises:
            ConcurrentUpdate: the cursor was moved since; nothing was written.
        """
        with transaction(self._engine) as connection:
            write_rewind(connection, origin, kind, seen, to)

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""
        stored = {order.key: order for order in self._orders(select(orders).where(_named(keys)))}
        return [stored[key] for key in keys if key in stored]

    def find(self, wanted: OrderFilter) -> list[Order]:
        """List orders, newest change first."""
        query = select(orders).order_by(*(column.desc() for column in _OLDEST_CHANGE))
        if wanted.status is not None:
            query = query.where(orders.c.status == wanted.status.value)
        if wanted.origin is not None:
            query = query.where(orders.c.origin == wanted.origin)
        if wanted.failed is not None:
            query = query.where(orders.c.failed == wanted.failed)
        return self._orders(query.limit(wanted.limit))

    def without_changes(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        """Return which of these orders have no row of history since then."""
        newest = (
            select(order_events.c.at)
            .where(order_events.c.key == orders.c.key)
            .order_by(order_events.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        return {
            row.key for row in self._read(select(orders.c.key).where(_named(keys), newest < since))
        }

    def take_for_run(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        retake_after_seconds: float,
        confirmed: Sequence[ConfirmedRange] | None = None,
        max_orders: int | None = None,
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `retake_after_seconds` seconds.

        Oldest change first. Two who ask at the same time never take the same order. Those that
        wait for something come after all others, and less and less often.
        confirmed: only orders of one of these kinds.
        max_orders: those with the highest fees, where there are more.
        """
        with transaction(self._engine) as connection:
            return run_queue.ask(
                connection,
                statuses,
                origin,
                at=at,
                retake_after_seconds=retake_after_seconds,
                confirmed=confirmed,
                max_orders=max_orders,
            )

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        """Let orders be asked for as if they had been at that time, or never: their run ended."""
        with transaction(self._engine) as connection:
            connection.execute(update(orders).where(_named(keys)).values(asked_at=asked_at))

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        """List failed orders whose next attempt has come, the longest due first."""
        return self._orders(
            select(orders)
            .where(orders.c.failed, orders.c.next_attempt_at <= at)
            .order_by(orders.c.next_attempt_at, *_OLDEST_CHANGE)
            .limit(max_orders)
        )

    def unfinished(self, origin: str, *, first: int = 0, max_orders: int) -> list[Order]:
        """List unfinished orders that stand in block `first` or later, the highest block first."""
        return self._orders(run_queue.unfinished(origin, first, max_orders))

    def claimed(
        self,
        origin: str,
        *,
        newest: bool = False,
        after: tuple[datetime, int] | None = None,
        max_orders: int,
    ) -> list[Order]:
        """List orders whose claim is on its way, oldest change first, from behind `after` on.

        newest: newest change first.
        """
        return self._orders(run_queue.claimed(origin, max_orders, newest=newest, after=after))

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, max_orders: int
    ) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, lowest block first."""
        return self._orders(run_queue.not_final(origin, first, last, max_orders))

    def newest_not_final(self, origin: str, *, max_orders: int) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, newest change first."""
        return self._orders(run_queue.newest_not_final(origin, max_orders))

    def change(
        self,
        before: Order,
        after: Order,
        *,
        run_id: str,
        at: datetime,
        tx: TxHash | None = None,
        fault: Fault | None = None,
        taken: bool = False,
    ) -> Order:
        """Write the new row, its history row and its error, if the row is still `before`.

        taken: the caller's run goes on with the order, so `ask` returns it to no other for now.

        Raises:
            ConcurrentUpdate: somebody changed the order since; nothing was written.
        """
        with transaction(self._engine) as connection:
            return write_transition(
                connection, before, after, run_id=run_id, at=at, tx=tx, fault=fault, taken=taken
            )

    def relocate(
        self, before: Order, after: Order, *, run_id: str, at: datetime, fault: Fault
    ) -> Order:
        """Write what the escrow logs now under an unpaid order's number: other content.

        Raises:
            ConcurrentUpdate: the order was changed since, or a transfer of what it was is undecided
                or mined; nothing was written.
        """
        with transaction(self._engine) as connection:
            return write_relocated(connection, before, after, run_id=run_id, at=at, fault=fault)

    def record_error(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        """Keep an error that belongs to no change of an order."""
        with transaction(self._engine) as connection:
            write_errors(connection, [fault], at=at, run_id=run_id)

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""
        return [history_of(row) for row in self._read(_of(order_events, "key", key))]

    def errors(self, key: str) -> list[ErrorEntry]:
        """Return all errors of an order, oldest first."""
        return [error_of(row) for row in self._read(_of(errors, "subject", key))]

    def record_run(self, run_id: str, keys: Sequence[str], *, at: datetime) -> None:
        """Record that a run works on these orders, those of them that are stored."""
        known = select(literal(run_id), orders.c.key, literal(at, Instant)).where(_named(keys))
        rows = insert(order_runs).from_select(["run_id", "key", "at"], known)
        with transaction(self._engine) as connection:
            connection.execute(rows.on_conflict_do_nothing())

    def orders_of_run(self, run_id: str) -> list[str]:
        """Return the keys of the orders that a run recorded to work on."""
        keys = select(order_runs.c.key).where(order_runs.c.run_id == run_id)
        return [row.key for row in self._read(keys.order_by(order_runs.c.key))]

    def forget_runs(self, *, before: datetime) -> int:
        """Delete which orders runs worked on that began before; return how many rows."""
        with transaction(self._engine) as connection:
            return connection.execute(delete(order_runs).where(order_runs.c.at < before)).rowcount

    def errors_of_run(self, run_id: str) -> list[ErrorEntry]:
        """Return all errors that a run stored, oldest first."""
        return [error_of(row) for row in self._read(_of(errors, "run_id", run_id))]

    def _orders(self, query: Select[Any]) -> list[Order]:
        return [order_of(row) for row in self._read(query)]


def _named(keys: Sequence[str]) -> ColumnElement[bool]:
    return orders.c.key == any_(literal(list(keys), ARRAY(Text)))


def _of(table: Table, column: str, key: str) -> Select[Any]:
    return select(table).where(table.c[column] == key).order_by(table.c.id)
