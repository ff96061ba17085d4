"""A database with something of everything in it."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    FAULT,
    OURS,
    a_bump,
    add,
    change,
    decide,
    decided,
    held,
    mined,
    send,
)


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def go(store: PgBridgeStore, key: str, fact: Fact, seconds: float) -> Order:
    (order,) = store.orders.get([key])
    now = NOON + at(seconds)
    return change(store, order, order.after(fact, at=now), run_id="run", at=now)


def pay(store: PgBridgeStore, key: str, seconds: float) -> None:
    """Accept an order at once, and have its transfer mined after so long."""
    order = go(store, key, Fact.ACCEPTED, 0)
    (sent,) = send(store, order)
    (before,) = store.orders.get([key])
    now = NOON + at(seconds)
    after = before.after(Fact.MINED, at=now)
    decide(store, mined(sent), before, after, run_id="run", at=now)


def fill(engine: Engine) -> None:
    """Store seven orders: new, waiting, failed, parked, in flight, paid, repaid."""
    store = PgBridgeStore(engine)
    add(store, *(an_order(number, amount=10**18, fee=10**16) for number in range(7)), last=100)
    new, waiting, failed, parked, flying, paid, repaid = (f"zksync:{n}" for n in range(7))
    assert store.orders.get([new])
    go(store, waiting, Fact.ACCEPTED, 1)
    for key, again in ((failed, NOON + at(60)), (parked, None)):
        (order,) = store.orders.get([key])
        after = order.with_failure("no", failed=True, next_attempt_at=again)
        fault = replace(FAULT, subject=key)
        change(store, order, after, run_id="run", at=NOON, fault=fault)
    (sent,) = send(store, go(store, flying, Fact.ACCEPTED, 0))
    with held(store, CHAIN, OURS) as (_uow, lane):  # sent again with higher fees
        lane.add_replacement(a_bump(sent, 1))
    pay(store, paid, 5)
    pay(store, repaid, 7)
    go(store, repaid, Fact.SENT, 8)
    go(store, repaid, Fact.MINED, 9)
    go(store, repaid, Fact.SETTLED, 400)
    decided(safety.halt, store, "zksync", by="Ann", reason="test", at=NOON)
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
