"""A database with something of everything in it."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.safety import PgSafety
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import CHAIN, FAULT, OURS, a_bump, add, mined, send


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def go(orders: PgOrders, key: str, fact: Fact, seconds: float) -> Order:
    (order,) = orders.get([key])
    now = NOON + at(seconds)
    return orders.change(order, order.after(fact, at=now), run_id="run", at=now)


def pay(orders: PgOrders, key: str, seconds: float) -> None:
    """Accept an order at once, and have its transfer mined after so long."""
    order = go(orders, key, Fact.ACCEPTED, 0)
    (sent,) = send(orders, order)
    (before,) = orders.get([key])
    now = NOON + at(seconds)
    after = before.after(Fact.MINED, at=now)
    orders.decide(mined(sent), before, after, run_id="run", at=now)


def fill(engine: Engine) -> None:
    """Store seven orders: new, waiting, failed, parked, in flight, paid, repaid."""
    orders = PgOrders(engine)
    add(orders, *(an_order(number, amount=10**18, fee=10**16) for number in range(7)), last=100)
    new, waiting, failed, parked, flying, paid, repaid = (f"zksync:{n}" for n in range(7))
    assert orders.get([new])
    go(orders, waiting, Fact.ACCEPTED, 1)
    for key, again in ((failed, NOON + at(60)), (parked, None)):
        (order,) = orders.get([key])
        after = order.with_failure("no", failed=True, next_attempt_at=again)
        fault = replace(FAULT, subject=key)
        orders.change(order, after, run_id="run", at=NOON, fault=fault)
    (sent,) = send(orders, go(orders, flying, Fact.ACCEPTED, 0))
    with orders.lane(CHAIN, OURS) as lane:  # sent again with higher fees
        lane.replace(a_bump(sent, 1))
    pay(orders, paid, 5)
    pay(orders, repaid, 7)
    go(orders, repaid, Fact.SENT, 8)
    go(orders, repaid, Fact.MINED, 9)
    go(orders, repaid, Fact.SETTLED, 400)
    store = PgSafety(engine)
    safety.halt(store, "zksync", by="Ann", reason="test", at=NOON)
    log = PgAlertLog(engine)
    alerts = [
        Alert(key=f"parked {n}", severity=Severity.HIGH, title="t", text="t") for n in range(2)
    ]
    for channel in (JOURNAL, "json 12345678", "gone 00000000"):
        log.observe(channel, AlertSnapshot(alerts=alerts, unknown=frozenset()), at=NOON)
    reported = log.take(
        JOURNAL, at=NOON, retake_after_seconds=60, resolved_for_seconds=30, max_messages=9
    )
    log.mark_sent(reported, at=NOON)
