"""The port `Reports` on Postgres: sums by day and origin, made by the database."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Engine,
    Select,
    and_,
    cast,
    distinct,
    func,
    literal_column,
    select,
    text,
)

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.orders import errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import invokes, transactions
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.bridge.ports.reports import SHARED, DayOfOrigin, Figures, OrderTime
from mmbot_pipelines.core.outbox import TxState

_PARTS = {"transfer": (None, Status.FULFILLED), "repayment": (Status.FULFILLED, Status.COMPLETED)}
_NO_END = datetime.max.replace(tzinfo=UTC)


class PgReports:
    """Questions about whole days.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def days(self, *, since: datetime, until: datetime | None = None) -> Sequence[DayOfOrigin]:
        """Sum up what happened from `since` to before `until`; what is all zero is left out."""
        sums: dict[tuple[date, str], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
        with transaction(self._engine) as connection:
            # One snapshot: an order that completes between two sums is in both or in neither.
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            for query in _sums(since, until or _NO_END):
                for row in connection.execute(query).mappings():
                    origin = row["origin"] if row["origin"] in ORIGINS else SHARED
                    for name in row.keys() - {"day", "origin"}:
                        sums[row["day"], origin][name] += int(row[name] or 0)
        return [
            DayOfOrigin(day=day, origin=origin, figures=Figures(**found))
            for (day, origin), found in sorted(sums.items())
            if any(found.values())
        ]

    def order_times(self, *, since: datetime, until: datetime | None = None) -> Sequence[OrderTime]:
        """Return how long each order took whose transfer or repayment was then."""
        ends, begins = order_events.alias(), order_events.alias()
        with transaction(self._engine) as connection:
            return [
                OrderTime(day=day, origin=origin, part=part, seconds=float(seconds))
                for part, (before, after) in _PARTS.items()
                for day, origin, seconds in connection.execute(
                    select(
                        cast(ends.c.at, Date),
                        _origin(ends.c.key),
                        func.extract("epoch", ends.c.at - func.min(begins.c.at)),
                    )
                    .join(begins, begins.c.key == ends.c.key)
                    .where(
                        ends.c.after == after.value,
                        ends.c.before.is_distinct_from(ends.c.after),
                        ends.c.at >= since,
                        ends.c.at < (until or _NO_END),
                        begins.c.before.is_(None)
                        if before is None
                        else begins.c.after == before.value,
                    )
                    .group_by(ends.c.id)
                    .order_by(ends.c.id)
                )
            ]


def _sums(since: datetime, until: datetime | None = None) -> Sequence[Select[Any]]:
    def by_day(
        at: ColumnElement[Any], key: ColumnElement[str], **sums: ColumnElement[Any]
    ) -> Select[Any]:
        columns = (value.label(name) for name, value in sums.items())
        return (
            select(cast(at, Date).label("day"), _origin(key).label("origin"), *columns)
            .where(at >= since, at < until)
            .group_by(literal_column("1"), literal_column("2"))
        )

    events, rows = order_events.c, transactions.c
    came = events.before.is_distinct_from(events.after)
    mined = rows.state == TxState.MINED.value
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
            rows.stored_at,
            rows.subject,
            paid=func.sum(rows.call_value).filter(mined, rows.purpose == TRANSFER),
            gas_paid=func.sum(rows.gas_used * rows.gas_price),
            messages_paid=func.sum(rows.call_value).filter(mined, rows.purpose == REPAY),
            refunded=func.sum(rows.refund),
        ),
        by_day(invokes.c.stored_at, invokes.c.subjects[1], starknet_fees=func.sum(invokes.c.fee)),
    ]


def _origin(key: ColumnElement[str]) -> ColumnElement[str]:
    # literals, so that grouping by the column's position finds the same expression
    return func.split_part(key, literal_column("':'"), literal_column("1"))


def _keys(where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.count(distinct(order_events.c.key)).filter(where)
