"""What the report is made of: sums by day and origin, and how long orders took."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.reports import SHARED, DayOfOrigin, Figures, OrderTime, total
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Call, Part
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    FAULT,
    OURS,
    a_batch,
    add,
    change,
    decide,
    held,
    mined,
    note,
    send,
    step,
)
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
    assert reports.exposure(since=NOON - DAY, until=NOON) == []
    assert reports.first_day() is None


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
    assert reports.first_day() == date(2026, 11, 20)
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


def test_a_batch_counts_once_and_is_shared_to_the_wei(
    store: PgBridgeStore, reports: PgReports
) -> None:
    """A batch of our own account carries nothing itself; one of its calls failed."""
    orders = [an_order(1), an_order(2), an_order(3, origin="starknet")]
    parts = [
        Part(subject=o.key, purpose=purpose, attempt=1, value=Wei(value))
        for o, purpose, value in zip(
            orders, ("transfer", "transfer", "repay"), (100, 200, 7), strict=True
        )
    ]
    sent = replace(
        a_batch(orders, 0, purpose="batch"),
        batch=tuple(parts),
        call=Call(to=OURS, data=b"\x01", value=Wei(0)),
    )
    with held(store, CHAIN, OURS) as (_, lane):
        lane.add(sent)
    assert total(d.figures for d in reports.days(since=NOON)).undecided == 2  # of two origins
    done = mined(sent)
    assert done.receipt is not None
    receipt = replace(done.receipt, gas_used=Gas(20_000), gas_price=Wei(1))
    failed = replace(sent, batch=(parts[0], replace(parts[1], failed=True), parts[2]))
    with store.begin() as uow:
        uow.outbox.decide([replace(done, transaction=failed, receipt=receipt)])
    starknet, zksync = reports.days(since=NOON)
    assert (zksync.figures.paid, zksync.figures.messages_paid) == (100, 0)
    assert (starknet.figures.paid, starknet.figures.messages_paid) == (0, 7)
    assert (zksync.figures.gas_paid, starknet.figures.gas_paid) == (6667 + 6667, 6666)
    assert (zksync.figures.undecided, starknet.figures.undecided) == (0, 1)  # its refund


def test_a_payment_for_an_order_that_its_l2_took_back_is_a_loss_until_it_is_repaid(
    store: PgBridgeStore, reports: PgReports
) -> None:
    add(store, an_order(2))
    paid = fulfilled(store, an_order(2), after=timedelta(seconds=2))
    fault = replace(FAULT, subject=paid.key, kind="ReorgAfterPayment")
    note(store, fault, at=NOON, run_id="r")
    assert reports.days(since=NOON)[0].figures.lost_to_reorgs == paid.amount
    complete(store, paid, after=timedelta(hours=1))
    assert reports.days(since=NOON)[0].figures.lost_to_reorgs == 0


def test_exposure_hour_by_hour(store: PgBridgeStore, reports: PgReports) -> None:
    add(store, an_order(2), an_order(3))
    fulfilled(store, an_order(2), after=timedelta(seconds=5))
    first = fulfilled(store, an_order(3), after=timedelta(minutes=5))
    complete(store, first, after=timedelta(minutes=50))
    complete(store, store.orders.get(["zksync:2"])[0], after=timedelta(hours=2, minutes=1))
    hours = reports.exposure(since=NOON - timedelta(hours=1), until=NOON + timedelta(hours=4))
    one = 10**16
    expected = [(0, 0), (2 * one, one), (one, one), (one, 0), (0, 0)]
    assert [(hour.peak, hour.end) for hour in hours] == expected
    assert [hour.at.hour for hour in hours] == [11, 12, 13, 14, 15]
    later = reports.exposure(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=2))
    assert [(hour.peak, hour.end) for hour in later] == expected[2:3]
