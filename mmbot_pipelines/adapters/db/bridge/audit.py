"""The port `AuditRecords` on Postgres: bounded reads by indexes, each in one snapshot."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Select,
    Text,
    any_,
    bindparam,
    false,
    or_,
    select,
    text,
)

from mmbot_pipelines.adapters.db.bridge.rows import order_of
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.outbox_rows import STORED, transaction_of
from mmbot_pipelines.adapters.db.tables.orders import HEALTHY, errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge.audit.facts import (
    StoredEvent,
    StoredFacts,
    StoredOrder,
    StoredTransaction,
)
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import CANCEL, OUT, TRANSFER
from mmbot_pipelines.bridge.ports.audit import Window
from mmbot_pipelines.core.outbox import Transaction

_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_NO_TRANSACTIONS = -1


class PgAuditRecords:
    """The port `AuditRecords` on Postgres.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def stored(self, window: Window) -> tuple[StoredFacts, int]:
        """Return the facts of a window, and the first block that they cover whole."""
        with transaction(self._engine) as connection:
            connection.execute(_SNAPSHOT)
            rows, first = _transactions(connection, window)
            served = {part.subject for row in rows for part in row.parts}
            known = _of_keys(connection, select(orders), orders.c.key, served | window.keys)
            found = [order_of(row) for row in known]
            keys = [order.key for order in found]
            troubled = [order.key for order in found if order.failed]
            events = _of_keys(
                connection,
                select(order_events).order_by(order_events.c.id),
                order_events.c.key,
                keys,
            )
            faults = _of_keys(connection, select(errors), errors.c.subject, troubled)
        facts = StoredFacts(
            orders=[StoredOrder.of(order) for order in found],
            events=[StoredEvent(key=e.key, before=e.before, after=e.after) for e in events],
            errors=[(fault.subject, fault.run_id) for fault in faults],
            transactions=[_transaction(row) for row in rows],
            failed_runs=[],
        )
        return facts, first

    def newest_numbers(self, origin: str, *, max_count: int) -> list[int]:
        """Return the highest numbers of an origin's stored orders, falling."""
        newest = (
            select(orders.c.number)
            .where(orders.c.origin == origin)
            .order_by(orders.c.number.desc())
            .limit(max_count)
        )
        with transaction(self._engine) as connection:
            return [int(number) for number in connection.scalars(newest)]

    def with_errors(self, keys: Sequence[str]) -> set[str]:
        """Return which of these have an error stored under their name."""
        with transaction(self._engine) as connection:
            found = _of_keys(
                connection, select(errors.c.subject).distinct(), errors.c.subject, keys
            )
            return {row.subject for row in found}

    def overdue(
        self, origin: str, *, unpaid_since: datetime, paid_since: datetime, max_orders: int
    ) -> list[Order]:
        """List healthy unfinished orders that have not changed since then, oldest first."""
        found: list[Order] = []
        with transaction(self._engine) as connection:
            for status in Status:  # one question each, for the index begins with it
                if status.is_final:
                    continue
                since = paid_since if status in OUT else unpaid_since
                oldest = (
                    select(orders)
                    .where(
                        HEALTHY,
                        orders.c.status == status.value,
                        orders.c.changed_at < since,
                        orders.c.origin == origin,
                    )
                    .order_by(orders.c.changed_at)
                    .limit(max_orders)
                )
                found += map(order_of, connection.execute(oldest))
        return sorted(found, key=lambda order: order.changed_at)[:max_orders]


def _transactions(connection: Connection, window: Window) -> tuple[list[Transaction], int]:
    """Read the rows of the nonces that the window's blocks use, and where they begin whole."""
    t = transactions.c
    ours = (t.chain_id == window.chain_id, t.wallet == window.wallet)
    newest = connection.execute(
        select(t.block_number, t.nonce)
        .where(*ours, t.block_number >= window.first, t.block_number <= window.last)
        .order_by(t.block_number.desc(), t.nonce.desc())
        .limit(window.max_transactions)
    ).all()
    first = window.first
    if len(newest) == window.max_transactions:
        first = int(newest[-1].block_number) + 1  # of that block some may be missing
    nonces = [int(row.nonce) for row in newest if row.block_number >= first]
    rows = connection.execute(
        STORED.where(
            *ours,
            t.nonce >= min(nonces, default=0),
            t.nonce <= max(nonces, default=_NO_TRANSACTIONS) if nonces else false(),
            or_(t.block_number.is_(None), t.block_number <= window.last),
        ).order_by(t.nonce, t.bump)
    )
    return [transaction_of(row) for row in rows], first


def _of_keys(connection: Connection, query: Select[Any], column: Any, keys: Any) -> Sequence[Any]:
    given = bindparam("keys", sorted(keys), type_=ARRAY(Text))
    return connection.execute(query.where(column == any_(given))).all() if keys else []


def _transaction(row: Transaction) -> StoredTransaction:
    parts = [part for part in row.parts if not part.failed and row.purpose != CANCEL]
    return StoredTransaction(
        subject=row.subject,
        serves=[part.subject for part in parts],
        pays=[part.subject for part in parts if part.purpose == TRANSFER],
        hash=row.hash,
        nonce=row.nonce,
        state=row.state,
        value=row.call.value or sum(part.value for part in row.batch if not part.failed),
        gas_cost=(row.gas_used or 0) * (row.gas_price or 0),
    )
