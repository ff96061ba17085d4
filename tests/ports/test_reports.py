"""What the report is made of: sums by day and origin, and how long orders took."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.reports import SHARED, DayOfOrigin, Figures, OrderTime
from mmbot_pipelines.core.money import Wei
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import FAULT, add, change, decide, mined, note, send, step
from tests.postgres import clean_engine

BIG = 2**255
DAY = timedelta(days=1)


@pytest.fixture
def store() -> PgBridgeStore:
    return PgBridgeStore(clean_engine())


@pytest.fixture
def reports(store: PgBridgeStore) -> PgReports:
    return PgReports(store._engine)


def fulfilled(store: PgBridgeStore, order: Order, *, after: timedelta) -> Order:
    """Pay an order, so long after NOON."""
    (sent,) = send(store, step(store, order, Fact.ACCEPTED))
    (before,) = store.orders.get([order.key])
    at = NOON + after
    decide(store, mined(sent), before, before.after(Fact.MINED, at=at), run_id="r", at=at)
    return store.orders.get([order.key])[0]


def complete(store: PgBridgeStore, order: Order, *, after: timedelta) -> None:
    at = NOON + after
    done = order.after(Fact.SETTLED, at=at, refund=Wei(3))
    change(store, order, done, run_id="r", at=at)


def test_nothing_has_no_rows(reports: PgReports) -> None:
    assert reports.days(since=NOON - DAY) == []
    assert reports.order_times(since=NOON - DAY) == []


def test_each_thing_counts_on_its_day(store: PgBridgeStore, reports: PgReports) -> None:
    paid, repaid = an_order(2, fee=BIG), an_order(3, fee=BIG - 1)
    add(store, an_order(1), paid, repaid)
    step(store, an_order(1), Fact.REFUSED)
    fulfilled(store, paid, after=timedelta(seconds=5))
    complete(store, fulfilled(store, repaid, after=timedelta(seconds=9)), after=DAY)
    for subject in ("zksync:1", "zksync:1", "L1"):
        note(store, replace(FAULT, subject=subject), at=NOON, run_id="r")
    first = Figures(
        found=3,
        transferred=2,
        dropped=1,
        errors=2,
        paid=Wei(2 * 10**16),
        gas_paid=Wei(2 * 20_000 * 2),
    )
    second = Figures(completed=1, repaid=Wei(10**16), earned=Wei(BIG - 1), refunded=Wei(3))
    friday, saturday = date(2026, 11, 20), date(2026, 11, 21)
    assert reports.days(since=NOON) == [
        DayOfOrigin(day=friday, origin=SHARED, figures=Figures(errors=1)),
        DayOfOrigin(day=friday, origin="zksync", figures=first),
        DayOfOrigin(day=saturday, origin="zksync", figures=second),
    ]
    assert [d.day for d in reports.days(since=NOON, until=NOON + DAY)] == [friday, friday]
    assert [d.day for d in reports.days(since=NOON + DAY)] == [saturday]
    assert second.profit == BIG - 1 + 3
    assert first.profit == -2 * 20_000 * 2


def test_how_long_orders_took(store: PgBridgeStore, reports: PgReports) -> None:
    add(store, an_order(2), an_order(3))
    fulfilled(store, an_order(2), after=timedelta(seconds=2.5))
    complete(store, fulfilled(store, an_order(3), after=timedelta(seconds=9)), after=DAY)
    friday, saturday = date(2026, 11, 20), date(2026, 11, 21)

    def took(day: date, part: str, seconds: float) -> OrderTime:
        return OrderTime(day=day, origin="zksync", part=part, seconds=seconds)

    transfers = [took(friday, "transfer", 2.5), took(friday, "transfer", 9)]
    assert reports.order_times(since=NOON, until=NOON + DAY) == transfers
    repayment = took(saturday, "repayment", DAY.total_seconds() - 9)
    assert reports.order_times(since=NOON) == [*transfers, repayment]
