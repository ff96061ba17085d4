"""The truth about orders, in Postgres: every method is one database transaction."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Engine,
    Select,
    Table,
    Text,
    and_,
    any_,
    literal,
    select,
    tuple_,
    update,
)

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.lane import PgLane, hold_lane
from mmbot_pipelines.adapters.db.rows import error_of, history_of, order_of, transaction_of
from mmbot_pipelines.adapters.db.scan import write_scan
from mmbot_pipelines.adapters.db.steps import write_errors, write_step
from mmbot_pipelines.adapters.db.tables import blocks, errors, order_events, orders, transactions
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Cursor, ErrorEntry, Fault, Filter, HistoryEntry, Scan
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Block, Outcome, Transaction, TxState

_OLDEST_CHANGE = (orders.c.changed_at, orders.c.origin, orders.c.number)


class PgOrders:
    """The port `Orders` on Postgres.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""
        wanted = orders.c.key == any_(literal(list(keys), ARRAY(Text)))
        stored = {order.key: order for order in self._orders(select(orders).where(wanted))}
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

    def ask(
        self, statuses: Sequence[Status], origin: str | None, *, at: datetime, again_after: float
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `again_after` seconds.

        Oldest change first. Two who ask at the same time never take the same order.
        """
        long_ago = at - timedelta(seconds=again_after)
        ready = (
            select(orders.c.origin, orders.c.number)
            .where(
                _in(statuses, origin),
                ~orders.c.failed,
                orders.c.asked_at.is_(None) | (orders.c.asked_at <= long_ago),
            )
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

    def due(self, *, at: datetime) -> list[Order]:
        """List failed orders whose next attempt has come, the longest due first."""
        return self._orders(
            select(orders)
            .where(orders.c.failed, orders.c.next_attempt_at <= at)
            .order_by(orders.c.next_attempt_at, *_OLDEST_CHANGE)
        )

    def waiting(self, statuses: Sequence[Status], origin: str | None = None) -> list[Order]:
        """List orders in these statuses, failed or not, oldest change first."""
        wanted = select(orders).where(_in(statuses, origin)).order_by(*_OLDEST_CHANGE)
        return self._orders(wanted)

    def change(
        self,
        before: Order,
        after: Order,
        *,
        run_id: str,
        at: datetime,
        tx: TxHash | None = None,
        fault: Fault | None = None,
    ) -> Order:
        """Write the new row, its history row and its error, if the row is still `before`.

        Raises:
            LostRace: somebody changed the order since; nothing was written.
        """
        with transaction(self._engine) as connection:
            return write_step(connection, before, after, run_id=run_id, at=at, tx=tx, fault=fault)

    def note(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        """Keep an error that belongs to no change of an order."""
        with transaction(self._engine) as connection:
            write_errors(connection, [fault], at=at, run_id=run_id)

    def in_flight(self) -> list[Transaction]:
        """List all undecided transactions, lowest nonce first."""
        stored = transactions.c.state == TxState.STORED.value
        return self._transactions(
            select(transactions).where(stored).order_by(transactions.c.nonce, transactions.c.id)
        )

    def decide(
        self,
        outcome: Outcome,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None = None,
    ) -> None:
        """Write what became of a transaction and the step it means for its order, together.

        Raises:
            LostRace: the order or the transaction was changed since; nothing was written.
        """
        receipt, decided = outcome.receipt, outcome.transaction
        with transaction(self._engine) as connection:
            written = connection.scalar(
                update(transactions)
                .where(
                    transactions.c.hash == decided.hash,
                    transactions.c.state == TxState.STORED.value,
                )
                .values(
                    state=outcome.state.value,
                    block_number=receipt and receipt.block.number,
                    block_hash=receipt and receipt.block.hash,
                    gas_used=receipt and receipt.gas_used,
                    gas_price=receipt and receipt.gas_price,
                )
                .returning(transactions.c.id)
            )
            if written is None:
                raise LostRace(f"{decided.subject}: transaction {decided.hash} is decided already")
            if before is not None and after is not None:
                write_step(
                    connection, before, after, run_id=run_id, at=at, tx=decided.hash, fault=fault
                )
            elif fault is not None:
                write_errors(connection, [fault], at=at, run_id=run_id)

    def lane(self, chain_id: int, wallet: Address) -> AbstractContextManager[PgLane]:
        """Hold the wallet's lane; leaving it commits, an exception takes all of it back."""
        return hold_lane(self._engine, chain_id, wallet)

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""
        return [history_of(row) for row in self._read(_of(order_events, "key", key))]

    def errors(self, key: str) -> list[ErrorEntry]:
        """Return all errors of an order, oldest first."""
        return [error_of(row) for row in self._read(_of(errors, "subject", key))]

    def transactions(self, key: str) -> list[Transaction]:
        """Return all transactions of an order, oldest first."""
        return self._transactions(_of(transactions, "subject", key))

    def _orders(self, query: Select[Any]) -> list[Order]:
        return [order_of(row) for row in self._read(query)]

    def _transactions(self, query: Select[Any]) -> list[Transaction]:
        return [transaction_of(row) for row in self._read(query)]

    def _read(self, query: Select[Any]) -> Iterable[Any]:
        with transaction(self._engine) as connection:
            return connection.execute(query).all()


def _in(statuses: Sequence[Status], origin: str | None) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = orders.c.status.in_([status.value for status in statuses])
    return wanted if origin is None else and_(wanted, orders.c.origin == origin)


def _of(table: Table, column: str, key: str) -> Select[Any]:
    return select(table).where(table.c[column] == key).order_by(table.c.id)
