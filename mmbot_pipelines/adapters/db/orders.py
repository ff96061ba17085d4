"""The truth about orders, in Postgres: every method is one database transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Table,
    Text,
    and_,
    any_,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)

from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.outbox import PgOutbox
from mmbot_pipelines.adapters.db.rows import error_of, history_of, order_of
from mmbot_pipelines.adapters.db.scan import write_rewind, write_scan
from mmbot_pipelines.adapters.db.steps import write_errors, write_retold, write_step
from mmbot_pipelines.adapters.db.tables.orders import blocks, errors, order_events, orders
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import (
    MAX_PAUSE_SECONDS,
    PAUSE_SHARE,
    Cursor,
    ErrorEntry,
    Fault,
    Filter,
    HistoryEntry,
    Ripe,
    Scan,
)
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
            LostRace: the cursor was moved since; nothing was written.
        """
        with transaction(self._engine) as connection:
            write_rewind(connection, origin, kind, seen, to)

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""
        stored = {order.key: order for order in self._orders(select(orders).where(_named(keys)))}
        return [stored[key] for key in keys if key in stored]

    def find(self, wanted: Filter) -> list[Order]:
        """List orders, newest change first."""
        query = select(orders).order_by(*(column.desc() for column in _OLDEST_CHANGE))
        if wanted.status is not None:
            query = query.where(orders.c.status == wanted.status.value)
        if wanted.origin is not None:
            query = query.where(orders.c.origin == wanted.origin)
        if wanted.failed is not None:
            query = query.where(orders.c.failed == wanted.failed)
        return self._orders(query.limit(wanted.limit))

    def quiet(self, keys: Sequence[str], *, since: datetime) -> set[str]:
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

    def ask(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        again_after: float,
        ripe: Sequence[Ripe] | None = None,
        max_orders: int | None = None,
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `again_after` seconds.

        Oldest change first. Two who ask at the same time never take the same order. Those that
        wait for something come after all others, and less and less often.
        ripe: only orders of one of these kinds.
        max_orders: those with the highest fees, where there are more.
        """
        long_ago = at - timedelta(seconds=again_after)
        waiting = orders.c.waiting_since.is_not(None)
        ready = (
            select(orders.c.origin, orders.c.number)
            .where(
                _in(statuses, origin),
                ~orders.c.failed,
                true() if ripe is None else or_(false(), *map(_is, ripe)),
                or_(orders.c.asked_at.is_(None), and_(orders.c.asked_at <= long_ago, _paused(at))),
            )
            .order_by(
                waiting,
                case((waiting, None), else_=orders.c.fee).desc(),
                func.coalesce(orders.c.asked_at, orders.c.changed_at),
                orders.c.number,
            )
            .limit(max_orders)
            .with_for_update(skip_locked=True)
        )
        taken = (
            update(orders)
            .where(tuple_(orders.c.origin, orders.c.number).in_(ready))
            .values(asked_at=at)
            .returning(orders)
        )
        with transaction(self._engine) as connection:
            found = [order_of(row) for row in connection.execute(taken)]
        return sorted(found, key=lambda order: (order.changed_at, order.origin, order.number))

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

    def waiting(self, statuses: Sequence[Status], origin: str | None = None) -> list[Order]:
        """List orders in these statuses, failed or not, oldest change first."""
        wanted = select(orders).where(_in(statuses, origin)).order_by(*_OLDEST_CHANGE)
        return self._orders(wanted)

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, most: int
    ) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, lowest block first."""
        number = orders.c.settle_block_number
        wanted = select(orders).where(
            # Written out, as the index has it that holds nothing but these orders.
            orders.c.status == literal_column("'COMPLETED'"),
            ~orders.c.settle_final,
            orders.c.origin == origin,
            number >= first,
            true() if last is None else number <= last,
        )
        return self._orders(wanted.order_by(number).limit(most))

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
            LostRace: somebody changed the order since; nothing was written.
        """
        with transaction(self._engine) as connection:
            return write_step(
                connection, before, after, run_id=run_id, at=at, tx=tx, fault=fault, taken=taken
            )

    def retell(
        self, before: Order, after: Order, *, run_id: str, at: datetime, fault: Fault
    ) -> Order:
        """Write what the escrow logs now under an unpaid order's number: other content.

        Raises:
            LostRace: the order was changed since, or a transfer of what it was is undecided
                or mined; nothing was written.
        """
        with transaction(self._engine) as connection:
            return write_retold(connection, before, after, run_id=run_id, at=at, fault=fault)

    def note(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        """Keep an error that belongs to no change of an order."""
        with transaction(self._engine) as connection:
            write_errors(connection, [fault], at=at, run_id=run_id)

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""
        return [history_of(row) for row in self._read(_of(order_events, "key", key))]

    def errors(self, key: str) -> list[ErrorEntry]:
        """Return all errors of an order, oldest first."""
        return [error_of(row) for row in self._read(_of(errors, "subject", key))]

    def errors_of_run(self, run_id: str) -> list[ErrorEntry]:
        """Return all errors that a run stored, oldest first."""
        return [error_of(row) for row in self._read(_of(errors, "run_id", run_id))]

    def _orders(self, query: Select[Any]) -> list[Order]:
        return [order_of(row) for row in self._read(query)]


def _named(keys: Sequence[str]) -> ColumnElement[bool]:
    return orders.c.key == any_(literal(list(keys), ARRAY(Text)))


def _in(statuses: Sequence[Status], origin: str | None) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = orders.c.status.in_([status.value for status in statuses])
    return wanted if origin is None else and_(wanted, orders.c.origin == origin)


def _paused(at: datetime) -> ColumnElement[bool]:
    """Return the condition that an order has had its pause, if it waits for something."""
    waited = func.extract("epoch", orders.c.asked_at - orders.c.waiting_since)
    since = func.extract("epoch", literal(at, Instant) - orders.c.asked_at)
    pause = func.least(waited / PAUSE_SHARE, MAX_PAUSE_SECONDS)
    undecided = orders.c.status == Status.PENDING.value
    return or_(orders.c.waiting_since.is_(None), ~undecided, since >= pause)


def _is(ripe: Ripe) -> ColumnElement[bool]:
    return and_(
        orders.c.amount >= ripe.least,
        true() if ripe.limit is None else orders.c.amount < ripe.limit,
        true() if ripe.newest is None else orders.c.block_number <= ripe.newest,
    )


def _of(table: Table, column: str, key: str) -> Select[Any]:
    return select(table).where(table.c[column] == key).order_by(table.c.id)
