"""Figures for the metrics. Reads the store, of its large tables a few rows each.

Sums over all rows stand in `tallies`; whatever only grows never falls there, so it goes on
growing across restarts of everything.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, or_, select

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import alerts, safety, tallies
from mmbot_pipelines.adapters.db.tables.orders import OPEN, blocks, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.outbox import TxState

BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400)  # seconds

HEALTHY, FAILED, PARKED = "healthy", "failed", "parked"
CONDITIONS = (HEALTHY, FAILED, PARKED)

_FINAL = [status.value for status in Status if status.is_final]

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
    messages_wei: Counts  # origin: of mined claims
    refunds_wei: Counts  # origin: of messages, on the L2
    starknet_fees_fri: float
    failures: Counts  # step, kind
    safety: Mapping[str, str]  # scope: state
    cursors: Counts  # origin, kind
    alerts_open: Counts  # severity
    alerts_unsent: Counts  # channel


class PgFigures:
    """Reads all figures in one database transaction."""

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        channels: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take how to open the database; nothing is opened before the first reading.

        channels: names of the alert channels; the first receives every alert.
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
    unsent = func.count().filter(
        or_(alerts.c.sent_at.is_(None), alerts.c.resolved_at.is_not(None)),
    )
    sums = _sums(connection)
    return Figures(
        orders={labels: n for labels, n in sums["orders"].items() if n},
        oldest_seconds=_oldest(connection, sums["orders"], now),
        exposure_wei={labels: wei for labels, wei in sums["exposure"].items() if wei},
        fees_wei=sums["fees"],
        to_transfer=_durations(sums["transfer"], sums["transfer_seconds"]),
        to_repayment=_durations(sums["repayment"], sums["repayment_seconds"]),
        in_flight=counts(_grouped(transactions.c.purpose, n=func.count()).where(stored)),
        in_flight_seconds=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        replacements=sums["replacements"],
        gas_wei=sums["gas"],
        messages_wei=sums["messages"],
        refunds_wei=sums["refunds"],
        starknet_fees_fri=sum(sums["starknet_fees"].values()),
        failures=sums["failures"],
        safety={row.scope: row.state for row in connection.execute(select(safety))},
        cursors=counts(select(blocks.c.network, blocks.c.kind, blocks.c.number)),
        alerts_open=counts(_open_alerts(channels)),
        alerts_unsent={(channel,): 0.0 for channel in channels}
        | dict(
            counts(
                _grouped(alerts.c.channel, n=unsent).where(
                    alerts.c.closed_at.is_(None), alerts.c.channel.in_(channels)
                )
            )
        ),
    )


def _grouped(*columns: ColumnElement[Any], n: ColumnElement[Any]) -> Select[Any]:
    return select(*columns, n).group_by(*columns)


def _sums(connection: Connection) -> Mapping[str, Counts]:
    """Return all sums by name and labels."""
    sums: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for name, labels, value in connection.execute(
        _grouped(tallies.c.name, tallies.c.labels, n=func.sum(tallies.c.value))
    ):
        sums[name][tuple(labels)] = float(value)
    return sums


def _oldest(connection: Connection, stored: Counts, now: datetime) -> Counts:
    """Return the age of the unfinished order in the lowest block, by origin and condition."""
    unfinished = {
        (origin, condition)
        for (origin, status, condition), count in stored.items()
        if count and status not in _FINAL
    }
    ages: dict[tuple[str, ...], float] = {}
    for origin, condition in sorted(unfinished):
        lowest = (
            select(orders.c.key)
            .where(orders.c.origin == origin, orders.c.condition == condition, OPEN)
            .order_by(orders.c.block_number)
            .limit(1)
            .scalar_subquery()
        )
        found = select(func.min(order_events.c.at)).where(
            order_events.c.key == lowest, order_events.c.before.is_(None)
        )
        if (at := connection.scalar(found)) is not None:
            ages[origin, condition] = max(0.0, (now - at).total_seconds())
    return ages


def _open_alerts(channels: Sequence[str]) -> Select[Any]:
    # every channel has its own row of an alert; it is one alert all the same
    holds = (alerts.c.closed_at.is_(None), alerts.c.resolved_at.is_(None), alerts.c.lasting)
    return _grouped(alerts.c.severity, n=func.count()).where(
        *holds, alerts.c.channel.in_(channels[:1])
    )


def _durations(counted: Counts, seconds: Counts) -> Mapping[str, Durations]:
    """Sum up, by origin, how many took at most each of BUCKETS."""
    return {
        origin: Durations(
            at_most=[
                sum(
                    int(n)
                    for (of, bound), n in counted.items()
                    if of == origin and float(bound) <= bound_seconds
                )
                for bound_seconds in BUCKETS
            ],
            count=sum(int(n) for (of, _), n in counted.items() if of == origin),
            seconds=total,
        )
        for (origin,), total in seconds.items()
    }
