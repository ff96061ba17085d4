"""Which orders are taken for a run, and which errors one run stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import MAX_PAUSE_SECONDS, PAUSE_SHARE, BridgeStore
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import FAULT, add, change, later, note, step, take
from tests.postgres import clean_engine

UNPAID = [Status.PENDING, Status.PROCESSING]
AGAIN_AFTER = 50


def asked(store: BridgeStore, seconds: float, max_orders: int | None = None) -> set[int]:
    at = NOON + later(seconds)
    found = take(
        store, UNPAID, None, at=at, retake_after_seconds=AGAIN_AFTER, max_orders=max_orders
    )
    return {order.number for order in found}


def wait(store: BridgeStore, order: Order, reason: str = "waits", seconds: float = 0) -> Order:
    at = NOON + later(seconds)
    return change(store, order, order.with_wait_reason(reason, at=at), run_id="run", at=at)


def test_a_slice_has_the_highest_fees_and_the_rest_comes_next(store: BridgeStore) -> None:
    add(store, *(an_order(n, fee=10**n) for n in (1, 2, 3, 4, 5)))
    assert [asked(store, second, max_orders=2) for second in range(4)] == [
        {4, 5},
        {2, 3},
        {1},
        set(),
    ]


def test_a_limit_of_0_takes_none_and_without_one_all_are_taken(store: BridgeStore) -> None:
    add(store, *(an_order(n) for n in (1, 2, 3)))
    assert asked(store, 0, max_orders=0) == set()
    assert asked(store, 0) == {1, 2, 3}


def test_of_equal_fees_the_one_asked_for_longest_ago_has_its_turn(store: BridgeStore) -> None:
    add(store, *(an_order(n) for n in (1, 2, 3)))
    assert asked(store, 1, max_orders=1) == {1}
    assert asked(store, 60, max_orders=2) == {2, 3}
    assert asked(store, 120, max_orders=1) == {1}


def test_no_plan_of_postgres_takes_more_than_it_is_asked_for() -> None:
    engine = clean_engine()
    store = PgBridgeStore(engine)
    add(store, *(an_order(n) for n in range(50)))

    @event.listens_for(engine, "begin")
    def plan_for_a_small_table(connection: Connection) -> None:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")

    assert len(asked(store, 1, max_orders=1)) == 1
    assert len(asked(store, 2, max_orders=10)) == 10
    event.remove(engine, "begin", plan_for_a_small_table)


def test_orders_that_wait_come_after_all_others(store: BridgeStore) -> None:
    rich, poor = an_order(1, fee=10**9), an_order(2, fee=1)
    add(store, rich, poor)
    wait(store, rich)
    assert asked(store, 0, max_orders=1) == {2}
    assert asked(store, 1, max_orders=1) == {1}


@pytest.mark.parametrize(
    ("waited", "pause"), [(400, 100), (4 * MAX_PAUSE_SECONDS, 300), (86_400, 300)]
)
def test_a_pending_order_that_waits_pauses_longer_the_longer_it_waits(
    store: BridgeStore, waited: int, pause: int
) -> None:
    order = an_order(1)
    add(store, order)
    wait(store, order)
    assert min(waited / PAUSE_SHARE, MAX_PAUSE_SECONDS) == pause
    assert asked(store, waited) == {1}
    assert asked(store, waited + pause - 1) == set()
    assert asked(store, waited + pause) == {1}


def test_an_order_with_another_reason_or_state_has_no_long_pause(store: BridgeStore) -> None:
    other, decided = an_order(1), an_order(2)
    add(store, other, decided)
    other, decided = wait(store, other), step(store, decided, Fact.ACCEPTED)
    wait(store, decided)
    assert asked(store, 1000) == {1, 2}
    other = wait(store, other, "waits for something else", 1000)
    assert other.waiting_since == NOON + timedelta(seconds=1000)
    assert asked(store, 1000 + AGAIN_AFTER) == {1, 2}


def test_errors_of_a_run_are_those_that_it_stored_oldest_first(store: BridgeStore) -> None:
    order = an_order(1)
    add(store, order)
    first, second = replace(FAULT, subject="zksync"), replace(FAULT, subject=order.key)
    note(store, first, at=NOON, run_id="ours")
    note(store, FAULT, at=NOON, run_id="theirs")
    failing = order.with_failure("no", failed=True, next_attempt_at=None)
    change(store, order, failing, run_id="ours", at=NOON + later(1), fault=second)
    assert [entry.fault for entry in store.errors.of_run("ours")] == [first, second]
    assert [entry.run_id for entry in store.errors.of_run("theirs")] == ["theirs"]
    assert store.errors.of_run("nobody's") == []


def test_orders_of_a_run_are_those_that_it_recorded(store: BridgeStore) -> None:
    add(store, an_order(1), an_order(2))
    keys = ["zksync:2", "zksync:1", "zksync:99"]
    with store.begin() as uow:
        uow.orders.record_run("ours", keys, at=NOON)
        uow.orders.record_run("ours", keys, at=NOON + later(5))  # a run may record them twice
        uow.orders.record_run("theirs", ["zksync:2"], at=NOON + later(9))
    assert store.orders.of_run("ours") == ["zksync:1", "zksync:2"]
    assert store.orders.of_run("nobody's") == []
    with store.begin() as uow:
        assert uow.orders.forget_runs(before=NOON + later(9)) == 2
    assert store.orders.of_run("ours") == []
    assert store.orders.of_run("theirs") == ["zksync:2"]
