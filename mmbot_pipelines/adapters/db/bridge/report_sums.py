"""The sums of the report by day and origin, as questions to Postgres."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    and_,
    case,
    cast,
    distinct,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from mmbot_pipelines.adapters.db.tables.orders import errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import invokes, transaction_parts, transactions
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.core.errors import RecipientRefused, ReorgAfterPayment
from mmbot_pipelines.core.outbox import TxState


def sums(since: datetime, until: datetime) -> Sequence[Select[Any]]:
    """Return questions whose answers have a day, an origin, and some fields of `Figures`."""

    def by_day(
        at: ColumnElement[Any], key: ColumnElement[str], **sums: ColumnElement[Any]
    ) -> Select[Any]:
        columns = (value.label(name) for name, value in sums.items())
        return (
            select(cast(at, Date).label("day"), origin_of(key).label("origin"), *columns)
            .where(at >= since, at < until)
            .group_by(literal_column("1"), literal_column("2"))
        )

    events, rows = order_events.c, transactions.c
    came = events.before.is_distinct_from(events.after)
    part = _parts(since, until).subquery().c
    mined, reverted = (part.state == s.value for s in (TxState.MINED, TxState.REVERTED))
    open_refund = and_(mined, part.purpose == REPAY, part.refund.is_(None))
    return [
        by_day(
            events.at,
            events.key,
            found=_keys(events.before.is_(None)),
            transferred=_keys(and_(events.after == Status.FULFILLED.value, came)),
            completed=_keys(events.after == Status.COMPLETED.value),
            dropped=_keys(events.after == Status.DROPPED.value),
        ),
        by_day(errors.c.at, errors.c.subject, errors=func.count()),
        by_day(
            orders.c.changed_at,
            orders.c.key,
            repaid=func.sum(orders.c.amount),
            earned=func.sum(orders.c.fee),
            refunded=func.sum(orders.c.claim_refund),
        ).where(orders.c.status == Status.COMPLETED.value),
        by_day(
            part.stored_at,
            part.key,
            paid=func.sum(part.value).filter(mined, part.purpose == TRANSFER),
            gas_paid=func.sum(part.gas),
            gas_lost=func.sum(part.gas).filter(reverted),
            lost_to_strangers=func.sum(part.gas).filter(and_(reverted, _recipients_doing(part))),
            lost_to_reorgs=func.sum(part.value).filter(
                and_(mined, part.purpose == TRANSFER, _taken_back(part))
            ),
            messages_paid=func.sum(part.value).filter(mined, part.purpose == REPAY),
            undecided=func.count(distinct(part.id)).filter(
                or_(part.state == TxState.STORED.value, open_refund)
            ),
        ),
        by_day(rows.stored_at, rows.subject, refunded=func.sum(rows.refund)),
        by_day(invokes.c.stored_at, invokes.c.subjects[1], starknet_fees=func.sum(invokes.c.fee)),
    ]


def _parts(since: datetime, until: datetime) -> Select[Any]:
    """Select what each transaction of then did and cost, a row for each order that it served.

    Gas is shared as `core.money.shares` does, so that the parts add up to the whole.
    """
    t, p = transactions.c, transaction_parts.c
    gas = t.gas_used * t.gas_price
    own = (t.id, t.stored_at, t.subject, t.state, t.hash, t.refund)
    then = and_(t.stored_at >= since, t.stored_at < until)
    alone = select(
        *own,
        t.subject.label("key"),
        t.purpose,
        t.attempt,
        t.call_value.label("value"),
        gas.label("gas"),
    ).where(then, t.parts == 0)
    extra = case((p.position < func.mod(gas, t.parts), 1), else_=0)
    shared = (
        select(
            *own,
            p.subject.label("key"),
            p.purpose,
            p.attempt,
            case((p.failed, 0), else_=p.value).label("value"),
            (func.div(gas, t.parts) + extra).label("gas"),
        )
        .join(transaction_parts, p.transaction_id == t.id)
        .where(then, t.parts > 0)
    )
    return select(union_all(alone, shared).subquery())


def _recipients_doing(part: Any) -> ColumnElement[bool]:
    """Return whether a revert is noted as the recipient's doing, or is of a claim behind such."""
    event, transfer = order_events.c, transactions.alias()
    return _any(
        select(literal(1)).where(
            event.key == part.key,
            func.starts_with(event.reason, RecipientRefused.__name__),
            event.tx == transfer.c.hash,
            transfer.c.subject == part.subject,
            transfer.c.attempt == part.attempt,
        )
    )


def _taken_back(part: Any) -> ColumnElement[bool]:
    """Return whether a payment was for an order that its L2 took back, and has not paid since."""
    orphaned = select(literal(1)).where(
        errors.c.subject == part.key, errors.c.kind == ReorgAfterPayment.__name__
    )
    repaid = select(literal(1)).where(
        orders.c.key == part.key,
        orders.c.status == Status.COMPLETED.value,
        orders.c.transfer_tx == part.hash,
    )
    return and_(_any(orphaned), ~_any(repaid))


def _any(found: Select[Any]) -> ColumnElement[bool]:
    """Return whether a question of one row's own has an answer.

    For EXISTS, Postgres may read the whole table once, however few rows ask.
    """
    return found.limit(1).scalar_subquery().is_not(None)


def origin_of(key: ColumnElement[str]) -> ColumnElement[str]:
    """Return the origin in an order's key."""
    # literals, so that grouping by the column's position finds the same expression
    return func.split_part(key, literal_column("':'"), literal_column("1"))


def _keys(where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.count(distinct(order_events.c.key)).filter(where)
