"""What the database says in numbers, made by a few sums over its tables.

Whatever only grows is derived from rows that are only ever added, so it goes on growing
across restarts of everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, or_, select

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables import (
    alerts,
    blocks,
    errors,
    order_events,
    orders,
    safety,
    transactions,
)
from mmbot_pipelines.bridge.accounts import OUT
from mmbot_pipelines.bridge.order import Status
from mmbot_pipelines.core.outbox import TxState

BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400)  # seconds

HEALTHY, FAILED, PARKED = "healthy", "failed", "parked"
CONDITIONS = (HEALTHY, FAILED, PARKED)

_FINAL = [status.value for status in Status if status.final]
_OUT = [status.value for status in OUT]

Counts = Mapping[tuple[str, ...], float]  # by labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """A histogram of one origin: how many took at most each of BUCKETS, all, and their sum."""

    at_most: Sequence[int]
    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One reading of the database."""

    orders: Counts  # origin, status, condition
    oldest_seconds: Counts  # origin, condition: of the unfinished
    exposure_wei: Counts  # origin
    fees_wei: Counts  # origin: of the completed
    to_transfer: Mapping[str, Durations]  # by origin
    to_repayment: Mapping[str, Durations]
    in_flight: Counts  # purpose
    in_flight_seconds: float  # of the oldest
    replacements: Counts  # purpose
    gas_wei: Counts  # purpose
    failures: Counts  # step, kind
    safety: Mapping[str, str]  # scope: state
    cursors: Counts  # origin, kind
    alerts_open: Counts  # severity
    alerts_untold: Counts  # channel


class PgFigures:
    """Reads all figures in one database transaction."""

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        channels: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take how to open the database; nothing is opened before the first reading.

        channels: the alert channels that are told; the first of them every time.
        """
        self._open = open_engine
        self._channels = list(channels)
        self._clock = clock

    def read(self) -> Figures:
        """Read everything.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        with transaction(self._open()) as connection:
            return _figures(connection, self._channels, self._clock())


def _figures(connection: Connection, channels: Sequence[str], now: datetime) -> Figures:
    def counts(query: Select[Any]) -> Counts:
        return {tuple(row[:-1]): float(row[-1] or 0) for row in connection.execute(query)}

    stored = transactions.c.state == TxState.STORED.value
    oldest = connection.scalar(select(func.min(transactions.c.stored_at)).where(stored))
    replaced = func.count().filter(transactions.c.bump > 0)
    paid = func.sum(transactions.c.gas_used * transactions.c.gas_price)
    untold = func.count().filter(
        alerts.c.over_at.is_(None),
        or_(alerts.c.told_at.is_(None), alerts.c.gone_at.is_not(None)),
    )
    return Figures(
        orders=counts(_grouped(orders.c.origin, orders.c.status, _condition(), n=func.count())),
        oldest_seconds=counts(_oldest(now)),
        exposure_wei=counts(_wei(orders.c.amount, _OUT)),
        fees_wei=counts(_wei(orders.c.fee, [Status.COMPLETED.value])),
        to_transfer=_durations(connection, Status.FULFILLED),
        to_repayment=_durations(connection, Status.COMPLETED),
        in_flight=counts(_grouped(transactions.c.purpose, n=func.count()).where(stored)),
        in_flight_seconds=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        replacements=counts(_grouped(transactions.c.purpose, n=replaced)),
        gas_wei=counts(_grouped(transactions.c.purpose, n=paid)),
        failures=counts(_grouped(errors.c.step, errors.c.kind, n=func.count())),
        safety={row.scope: row.state for row in connection.execute(select(safety))},
        cursors=counts(select(blocks.c.network, blocks.c.kind, blocks.c.number)),
        alerts_open=counts(_open_alerts(channels)),
        alerts_untold=counts(
            _grouped(alerts.c.channel, n=untold).where(alerts.c.channel.in_(channels))
        ),
    )


def _grouped(*columns: ColumnElement[Any], n: ColumnElement[Any]) -> Select[Any]:
    return select(*columns, n).group_by(*columns)


def _condition() -> ColumnElement[str]:
    return case(
        (~orders.c.failed, HEALTHY), (orders.c.next_attempt_at.is_(None), PARKED), else_=FAILED
    )


def _wei(column: ColumnElement[Any], statuses: Sequence[str]) -> Select[Any]:
    return _grouped(orders.c.origin, n=func.sum(column)).where(orders.c.status.in_(statuses))


def _oldest(now: datetime) -> Select[Any]:
    found = func.min(order_events.c.at)
    age = func.extract("epoch", now - found)
    return (
        _grouped(orders.c.origin, _condition(), n=func.greatest(0, age))
        .join_from(orders, order_events, order_events.c.key == orders.c.key)
        .where(orders.c.status.not_in(_FINAL), order_events.c.before.is_(None))
    )


def _open_alerts(channels: Sequence[str]) -> Select[Any]:
    # every channel has its own row of an alert; it is one alert all the same
    holds = (alerts.c.over_at.is_(None), alerts.c.gone_at.is_(None), alerts.c.lasting)
    return _grouped(alerts.c.severity, n=func.count()).where(
        *holds, alerts.c.channel.in_(channels[:1])
    )


def _durations(connection: Connection, reached: Status) -> Mapping[str, Durations]:
    """Sum up, by origin, the seconds from finding an order to its first being `reached`."""
    is_first, is_there = order_events.c.before.is_(None), order_events.c.after == reached.value
    found = func.min(order_events.c.at).filter(is_first)
    there = func.min(order_events.c.at).filter(is_there)
    origin = func.split_part(order_events.c.key, ":", 1)
    took = (
        select(
            origin.label("origin"),
            func.greatest(0, func.extract("epoch", there - found)).label("seconds"),
        )
        .where(or_(is_first, is_there))
        .group_by(order_events.c.key)
        .having(there.is_not(None))
        .subquery()
    )
    sums = select(
        took.c.origin,
        func.count(),
        func.sum(took.c.seconds),
        *(func.count().filter(took.c.seconds <= bound) for bound in BUCKETS),
    ).group_by(took.c.origin)
    return {
        name: Durations(at_most=at_most, count=count, seconds=float(seconds))
        for name, count, seconds, *at_most in connection.execute(sums)
    }
