"""The orders in Postgres: the ports `OrderReads` and `Orders`, whose docstrings hold."""

from collections.abc import Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.bridge import exposure, run_queue
from mmbot_pipelines.adapters.db.bridge.rows import (
    as_stored,
    collected_of,
    history_of,
    history_values,
    order_of,
    order_values,
)
from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.engine import Rows, rows_within
from mmbot_pipelines.adapters.db.tables.monitoring import tallies
from mmbot_pipelines.adapters.db.tables.orders import (
    HELD_BACK,
    WAITING_HEALTHY,
    blocks,
    order_events,
    order_runs,
    orders,
)
from mmbot_pipelines.bridge.confirmations import ConfirmedRange
from mmbot_pipelines.bridge.orders.journal import HistoryEntry
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Collected, Cursor, OrderFilter
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block

_UNCHANGED = update(orders).where(
    orders.c.key == bindparam("was"),
    orders.c.version == bindparam("at"),
    orders.c.status == bindparam("in"),
)
_LIMITS_LOCK = 0x6C696D697473  # "limits"
_OLDEST_CHANGE = (orders.c.changed_at, orders.c.origin, orders.c.number)


class PgOrderReads:
    """Questions about orders."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def cursor(self, origin: str, kind: Cursor) -> Block | None:
        wanted = select(blocks).where(blocks.c.network == origin, blocks.c.kind == kind.value)
        return next((Block(row.number, row.hash) for row in self._rows(wanted)), None)

    def get(self, keys: Sequence[str]) -> list[Order]:
        stored = {order.key: order for order in self._orders(select(orders).where(_named(keys)))}
        return [stored[key] for key in keys if key in stored]

    def find(self, wanted: OrderFilter) -> list[Order]:
        query = select(orders).order_by(*(column.desc() for column in _OLDEST_CHANGE))
        if wanted.status is not None:
            query = query.where(orders.c.status == wanted.status.value)
        if wanted.origin is not None:
            query = query.where(orders.c.origin == wanted.origin)
        if wanted.failed is not None:
            query = query.where(orders.c.failed == wanted.failed)
        return self._orders(query.limit(wanted.limit))

    def without_changes(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        newest = (
            select(order_events.c.at)
            .where(order_events.c.key == orders.c.key)
            .order_by(order_events.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        unchanged = self._rows(select(orders.c.key).where(_named(keys), newest < since))
        return {row.key for row in unchanged}

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        return self._orders(
            select(orders)
            .where(orders.c.failed, orders.c.next_attempt_at <= at)
            .order_by(orders.c.next_attempt_at, *_OLDEST_CHANGE)
            .limit(max_orders)
        )

    def is_any(self, statuses: Sequence[Status], origin: str | None) -> bool:
        return bool(self._rows(run_queue.is_any(statuses, origin)))

    def unfinished(self, origin: str, *, first: int = 0, max_orders: int) -> list[Order]:
        return self._orders(run_queue.unfinished(origin, first, max_orders))

    def claimed(
        self,
        origin: str,
        *,
        newest: bool = False,
        after: tuple[datetime, int] | None = None,
        max_orders: int,
    ) -> list[Order]:
        return self._orders(run_queue.claimed(origin, max_orders, newest=newest, after=after))

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, max_orders: int
    ) -> list[Order]:
        return self._orders(run_queue.not_final(origin, first, last, max_orders))

    def newest_not_final(self, origin: str, *, max_orders: int) -> list[Order]:
        return self._orders(run_queue.newest_not_final(origin, max_orders))

    def history(self, key: str) -> list[HistoryEntry]:
        events = select(order_events).where(order_events.c.key == key).order_by(order_events.c.id)
        return [history_of(row) for row in self._rows(events)]

    def of_run(self, run_id: str) -> list[str]:
        recorded = select(order_runs.c.key).where(order_runs.c.run_id == run_id)
        return [row.key for row in self._rows(recorded.order_by(order_runs.c.key))]

    def collected(self, origin: str, *, max_orders: int) -> Collected | None:
        return collected_of(self._rows(run_queue.collected(origin, max_orders))[0])

    def exposure(self) -> Wei:
        # a sum that triggers keep, for the lane and every tick ask for it
        out = select(func.sum(tallies.c.value)).where(tallies.c.name == "exposure")
        return Wei(int(self._rows(out)[0][0] or 0))

    def paid_since(self, at: datetime) -> dict[Address, Wei]:
        sums = self._rows(exposure.paid_since(at))
        return {Address(recipient): Wei(int(total)) for recipient, total in map(tuple, sums)}

    def held_back(
        self, origin: str, reason: str, *, recipient: Address | None, max_orders: int
    ) -> list[Order]:
        same_reason = func.md5(orders.c.reason) == func.md5(reason)
        waiting = (
            select(orders)
            .where(HELD_BACK, orders.c.origin == origin, same_reason)
            .order_by(orders.c.number)
            .limit(max_orders)
        )
        if recipient is not None:
            waiting = waiting.where(orders.c.recipient == recipient)
        return self._orders(waiting)

    def _orders(self, query: Select[Any]) -> list[Order]:
        return [order_of(row) for row in self._rows(query)]


class PgOrders(PgOrderReads):
    """The orders within one transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(rows_within(connection))
        self._connection = connection

    def insert(self, found: Sequence[Order]) -> list[Order]:
        once: dict[str, Order] = {}
        for order in found:
            once.setdefault(order.key, order)
        if not once:
            return []
        # sorted, so that two scans of the same blocks never wait for each other in a circle
        inserted = postgresql.insert(orders).on_conflict_do_nothing().returning(orders.c.key)
        new = set(self._connection.scalars(inserted, [order_values(once[k]) for k in sorted(once)]))
        return [order for order in once.values() if order.key in new]

    def lock(self, wanted: Sequence[Order]) -> list[Order]:
        # in the order of keys, so that two lanes never wait for each other in a circle
        locked = (
            select(orders)
            .where(_named([order.key for order in wanted]))
            .order_by(orders.c.key)
            .with_for_update()
        )
        stored = {order.key: order for order in self._orders(locked)}
        return [
            stored[order.key]
            for order in wanted
            if order.key in stored and stored[order.key].version == order.version
        ]

    def lock_limits(self) -> None:
        self._connection.execute(select(func.pg_advisory_xact_lock(_LIMITS_LOCK)))

    def update(
        self,
        changes: Sequence[tuple[Order, Order]],
        *,
        asked_at: datetime | EllipsisType | None = ...,
    ) -> list[Order]:
        asked = {} if isinstance(asked_at, EllipsisType) else {"asked_at": asked_at}
        stored = [as_stored(after, version=before.version + 1) for before, after in changes]
        rows = [
            asked
            | order_values(after)
            | {"was": before.key, "at": before.version, "in": before.status.value}
            for (before, _), after in zip(changes, stored, strict=True)
        ]
        # sent together, so that many take one round trip to the database, as one does
        if rows and self._connection.execute(_UNCHANGED, rows).rowcount != len(rows):
            keys = ", ".join(order.key for order in stored)
            raise ConcurrentUpdate(f"{keys}: changed by somebody else since read")
        return stored

    def add_history(self, entries: Sequence[tuple[str, HistoryEntry]]) -> None:
        if entries:
            rows = [history_values(key, entry) for key, entry in entries]
            self._connection.execute(insert(order_events), rows)

    def move_cursor(self, origin: str, kind: Cursor, last: Block) -> None:
        moved = postgresql.insert(blocks).values(
            network=origin, kind=kind.value, number=last.number, hash=last.hash
        )
        self._connection.execute(
            moved.on_conflict_do_update(
                index_elements=[blocks.c.network, blocks.c.kind],
                set_={"number": moved.excluded.number, "hash": moved.excluded.hash},
                where=blocks.c.number <= moved.excluded.number,
            )
        )

    def rewind(self, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
        still = and_(
            blocks.c.network == origin,
            blocks.c.kind == kind.value,
            blocks.c.number == seen.number,
            blocks.c.hash == seen.hash,
        )
        back = (
            delete(blocks) if to is None else update(blocks).values(number=to.number, hash=to.hash)
        )
        if self._connection.scalar(back.where(still).returning(blocks.c.network)) is None:
            raise ConcurrentUpdate(
                f"the cursor {kind} of {origin} was moved since it was at {seen.number}"
            )

    def take_for_run(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        retake_after_seconds: float,
        confirmed: Sequence[ConfirmedRange] | None = None,
        fresh: bool = True,
        max_orders: int | None = None,
    ) -> list[Order]:
        return run_queue.ask(
            self._connection,
            statuses,
            origin,
            at=at,
            retake_after_seconds=retake_after_seconds,
            confirmed=confirmed,
            fresh=fresh,
            max_orders=max_orders,
        )

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        self._connection.execute(update(orders).where(_named(keys)).values(asked_at=asked_at))

    def release_waiting(self, origin: str, reason: str) -> None:
        same = orders.c.origin == origin, func.md5(orders.c.reason) == func.md5(reason)
        held = select(orders.c.key).where(WAITING_HEALTHY, *same)
        waiting = held.with_for_update(skip_locked=True)
        freed = update(orders).where(orders.c.key.in_(waiting)).values(asked_at=None)
        self._connection.execute(freed)

    def record_run(self, run_id: str, keys: Sequence[str], *, at: datetime) -> None:
        known = select(literal(run_id), orders.c.key, literal(at, Instant)).where(_named(keys))
        rows = postgresql.insert(order_runs).from_select(["run_id", "key", "at"], known)
        self._connection.execute(rows.on_conflict_do_nothing())

    def forget_runs(self, *, before: datetime) -> int:
        return self._connection.execute(delete(order_runs).where(order_runs.c.at < before)).rowcount


def _named(keys: Sequence[str]) -> ColumnElement[bool]:
    return orders.c.key == any_(literal(list(keys), ARRAY(Text)))
