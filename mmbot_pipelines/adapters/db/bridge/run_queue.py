"""Which orders are next: each question reads a bounded part of an index, in its order.

A crowd of 100,000 orders that wait costs a look as much as a crowd of a hundred. Conditions that
choose an index are written out as the index has them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    false,
    func,
    literal,
    literal_column,
    nulls_first,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from mmbot_pipelines.adapters.db.bridge.rows import order_of
from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.tables.orders import CLAIMED, OPEN, TO_CLAIM, TO_PAY, orders
from mmbot_pipelines.bridge.confirmations import ConfirmedRange
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import MAX_PAUSE_SECONDS, PAUSE_SHARE

_INDEXED = {
    frozenset({Status.PENDING}): TO_PAY,
    frozenset({Status.PROCESSING}): TO_PAY,
    frozenset({Status.PENDING, Status.PROCESSING}): TO_PAY,
    frozenset({Status.FULFILLED}): TO_CLAIM,
}
_WAITS = orders.c.waiting_since.is_not(None)
_FEES_FIRST = (
    orders.c.fee.desc(),
    func.coalesce(orders.c.asked_at, orders.c.changed_at),
    orders.c.number,
)
_BY_TURN = (nulls_first(orders.c.asked_at), orders.c.number)


def is_any(statuses: Sequence[Status], origin: str | None) -> Select[Any]:
    """Ask whether there is a healthy order at all: what an idle sensor asks each second."""
    # In the order of an index: else a plan may look for the first one through all that ended.
    first = select(literal(1)).where(_healthy(statuses, origin)).order_by(orders.c.origin).limit(1)
    fresh = first.where(~_WAITS).order_by(*_FEES_FIRST)
    return select(union_all(fresh, first.where(_WAITS).order_by(*_BY_TURN)).subquery())


def ask(
    connection: Connection,
    statuses: Sequence[Status],
    origin: str | None,
    *,
    at: datetime,
    retake_after_seconds: float,
    confirmed: Sequence[ConfirmedRange] | None,
    fresh: bool,
    max_orders: int | None,
) -> list[Order]:
    """Take healthy orders: the highest fees first, and those that wait after all others."""
    healthy = and_(
        _healthy(statuses, origin),
        true() if confirmed is None else or_(false(), *map(_is, confirmed)),
    )
    taken: list[Order] = []
    for turn in _turns(at, at - timedelta(seconds=retake_after_seconds), fresh):
        left = None if max_orders is None else max_orders - len(taken)
        if left == 0:
            break
        limited = turn.where(healthy).limit(left).with_for_update(skip_locked=True)
        # Materialized: a plan may read a subquery once for each row, and each time past its limit.
        ready = limited.cte("ready").prefix_with("MATERIALIZED")
        rows = connection.execute(
            update(orders)
            .where(tuple_(orders.c.origin, orders.c.number).in_(select(ready)))
            .values(asked_at=at)
            .returning(orders)
        )
        taken += map(order_of, rows)
    return sorted(taken, key=lambda order: (order.changed_at, order.origin, order.number))


def _healthy(statuses: Sequence[Status], origin: str | None) -> ColumnElement[bool]:
    return and_(
        _INDEXED.get(frozenset(statuses), ~orders.c.failed),
        orders.c.status.in_([status.value for status in statuses]),
        true() if origin is None else orders.c.origin == origin,
    )


def _turns(at: datetime, long_ago: datetime, fresh: bool) -> Iterator[Select[Any]]:
    """Yield the questions for whose turn it is: each leads to another part of an index."""
    key, asked = select(orders.c.origin, orders.c.number), orders.c.asked_at
    ready = or_(asked.is_(None), asked <= long_ago) if fresh else asked <= long_ago
    yield key.where(~_WAITS, ready).order_by(*_FEES_FIRST)
    by_turn = key.where(_WAITS).order_by(*_BY_TURN)
    if fresh:
        yield by_turn.where(asked.is_(None))
    yield by_turn.where(asked <= long_ago, _paused(at))


def _paused(at: datetime) -> ColumnElement[bool]:
    """Return the condition that an order that waits has had its pause."""
    waited = func.extract("epoch", orders.c.asked_at - orders.c.waiting_since)
    since = func.extract("epoch", literal(at, Instant) - orders.c.asked_at)
    pause = func.least(waited / PAUSE_SHARE, MAX_PAUSE_SECONDS)
    return or_(orders.c.status != Status.PENDING.value, since >= pause)


def _is(confirmed: ConfirmedRange) -> ColumnElement[bool]:
    return and_(
        orders.c.amount >= confirmed.min_amount,
        true() if confirmed.below_amount is None else orders.c.amount < confirmed.below_amount,
        true() if confirmed.max_block is None else orders.c.block_number <= confirmed.max_block,
    )


def collected(origin: str, max_orders: int) -> Select[*tuple[Any, ...]]:
    """Sum up an origin's paid orders that no run was asked for and that wait for nothing."""
    some = (
        select(orders.c.changed_at, orders.c.amount)
        .where(TO_CLAIM, ~_WAITS, orders.c.origin == origin, orders.c.asked_at.is_(None))
        .limit(max_orders)
        .subquery()
        .c
    )
    return select(func.count(), func.min(some.changed_at), func.sum(some.amount))


def unfinished(origin: str, first: int, max_orders: int) -> Select[Any]:
    """Select an origin's unfinished orders of blocks from `first` on, the highest block first."""
    return (
        select(orders)
        .where(OPEN, orders.c.origin == origin, orders.c.block_number >= first)
        .order_by(orders.c.block_number.desc(), orders.c.number.desc())
        .limit(max_orders)
    )


def claimed(
    origin: str, max_orders: int, *, newest: bool, after: tuple[datetime, int] | None
) -> Select[Any]:
    """Select an origin's orders whose claim is on its way, by their change."""
    turn = (orders.c.changed_at, orders.c.number)
    query = select(orders).where(CLAIMED, orders.c.origin == origin).limit(max_orders)
    if newest:
        return query.order_by(*(column.desc() for column in turn))
    if after is not None:
        changed_at, number = after
        query = query.where(tuple_(*turn) > tuple_(literal(changed_at, Instant), literal(number)))
    return query.order_by(*turn)


def not_final(origin: str, first: int, last: int | None, max_orders: int) -> Select[Any]:
    """Select COMPLETED orders whose settlement L1 has not accepted, lowest block first."""
    number = orders.c.settle_block_number
    return (
        _not_final(origin)
        .where(number >= first, true() if last is None else number <= last)
        .order_by(number)
        .limit(max_orders)
    )


def newest_not_final(origin: str, max_orders: int) -> Select[Any]:
    """Select COMPLETED orders whose settlement L1 has not accepted, newest change first."""
    return (
        _not_final(origin)
        .order_by(orders.c.changed_at.desc(), orders.c.number.desc())
        .limit(max_orders)
    )


def _not_final(origin: str) -> Select[Any]:
    return select(orders).where(
        orders.c.status == literal_column("'COMPLETED'"),
        ~orders.c.settle_final,
        orders.c.origin == origin,
    )
