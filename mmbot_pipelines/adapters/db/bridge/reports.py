"""The port `Reports` on Postgres: sums by day and origin, made by the database."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import (
    Connection,
    Date,
    Engine,
    Select,
    case,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from mmbot_pipelines.adapters.db.bridge.report_sums import origin_of, sums
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import tallies
from mmbot_pipelines.adapters.db.tables.orders import order_events, orders
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.bridge.ports.accounts import OUT
from mmbot_pipelines.bridge.ports.reports import (
    SHARED,
    DayOfOrigin,
    Figures,
    HourOfExposure,
    OrderTime,
)
from mmbot_pipelines.core.money import Wei

_PARTS = {"transfer": (None, Status.FULFILLED), "repayment": (Status.FULFILLED, Status.COMPLETED)}
_NO_END = datetime.max.replace(tzinfo=UTC)
_HOUR = timedelta(hours=1)


class PgReports:
    """Questions about whole days.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def days(self, *, since: datetime, until: datetime | None = None) -> Sequence[DayOfOrigin]:
        """Sum up what happened from `since` to before `until`; what is all zero is left out."""
        found: dict[tuple[date, str], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
        with transaction(self._engine) as connection:
            _one_snapshot(connection)
            for query in sums(since, until or _NO_END):
                for row in connection.execute(query).mappings():
                    origin = row["origin"] if row["origin"] in ORIGINS else SHARED
                    for name in row.keys() - {"day", "origin"}:
                        found[row["day"], origin][name] += int(row[name] or 0)
        return [
            DayOfOrigin(day=day, origin=origin, figures=Figures(**figures))
            for (day, origin), figures in sorted(found.items())
            if any(figures.values())
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
                        origin_of(ends.c.key),
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

    def exposure(self, *, since: datetime, until: datetime) -> Sequence[HourOfExposure]:
        """Return the exposure of each origin that ever had any, hour by hour.

        since: the beginning of an hour.
        """
        with transaction(self._engine) as connection:
            _one_snapshot(connection)
            out = (
                select(tallies.c.labels[1], func.sum(tallies.c.value))
                .where(tallies.c.name == "exposure")
                .group_by(literal_column("1"))
            )
            now = {origin: int(wei) for origin, wei in connection.execute(out)}
            # Back from what is out now: the history before `since` may be long.
            changed = connection.execute(_moves_by_origin(since))
            begin = now | {origin: now.get(origin, 0) - int(moved) for origin, moved in changed}
            moves = connection.execute(_moves_by_hour(since, until)).all()
        hours = {o: list(found) for o, found in groupby(moves, key=lambda row: str(row.origin))}
        return [
            hour
            for origin in sorted(begin)
            for hour in _hours(origin, begin[origin], hours.get(origin, []), since, until)
        ]

    def first_day(self) -> date | None:
        """Return the day on which the first order was found, in UTC; None where there is none."""
        with transaction(self._engine) as connection:
            first = connection.scalar(select(func.min(order_events.c.at)))
        return first.date() if first else None


def _one_snapshot(connection: Connection) -> None:
    # An order that completes between two questions is in both answers or in neither.
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _moves(since: datetime) -> Select[Any]:
    """Select what each step since then has added to the exposure, or taken from it."""
    events = order_events.c
    out = [status.value for status in OUT]
    came, went = events.after.in_(out), func.coalesce(events.before.in_(out), False)
    amount = case((came, orders.c.amount), else_=-orders.c.amount)
    return (
        select(events.id, events.at, orders.c.origin.label("origin"), amount.label("amount"))
        .join(orders, orders.c.key == events.key)
        .where(events.at >= since, came != went)
    )


def _moves_by_origin(since: datetime) -> Select[Any]:
    moves = _moves(since).subquery().c
    return select(moves.origin, func.sum(moves.amount)).group_by(moves.origin)


def _moves_by_hour(since: datetime, until: datetime) -> Select[Any]:
    """Select by origin and hour what all moves since then add up to: at most, and at its end."""
    moves = _moves(since).where(order_events.c.at < until).subquery().c
    so_far = func.sum(moves.amount).over(partition_by=moves.origin, order_by=(moves.at, moves.id))
    running = select(moves.origin, moves.at, moves.id, so_far.label("sum")).subquery().c
    hour = func.date_trunc(literal_column("'hour'"), running.at)
    last = func.array_agg(aggregate_order_by(running.sum, running.at.desc(), running.id.desc()))
    return (
        select(
            running.origin,
            hour.label("hour"),
            func.max(running.sum).label("peak"),
            last[1].label("last"),
        )
        .group_by(running.origin, hour)
        .order_by(running.origin, hour)
    )


def _hours(
    origin: str, begin: int, moves: Sequence[Any], since: datetime, until: datetime
) -> Iterator[HourOfExposure]:
    """Yield every hour, also those in which nothing moved."""
    found = {row.hour: (begin + int(row.peak), begin + int(row.last)) for row in moves}
    at, out = since, begin
    while at < until:
        peak, end = found.get(at, (out, out))
        yield HourOfExposure(at=at, origin=origin, peak=Wei(max(out, peak)), end=Wei(end))
        at, out = at + _HOUR, end
