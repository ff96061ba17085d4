"""How a store changes orders: run on the one in memory and the one in Postgres."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import OrderFilter, Orders
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import FAULT, add, later, step

PENDING = [Status.PENDING]


def asked(
    orders: Orders, seconds: float, *statuses: Status, origin: str | None = None
) -> list[int]:
    found = orders.take_for_run(
        statuses or PENDING, origin, at=NOON + later(seconds), retake_after_seconds=60
    )
    return [order.number for order in found]


def test_a_change_is_stored_with_its_history(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    tx = TxHash("0x" + "11" * 32)
    after = order.after(Fact.PAID, at=NOON + later(9), tx=tx, reason="the registry has it")
    changed = orders.change(order, after, run_id="run 5", at=NOON + later(10), tx=tx)

    assert changed == replace(after, version=1)
    assert orders.get([order.key]) == [changed]
    entry = orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PENDING, Status.FULFILLED)
    assert (entry.at, entry.run_id, entry.tx) == (NOON + later(10), "run 5", tx)
    assert entry.reason == "the registry has it"


def test_a_change_of_a_changed_order_writes_nothing(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    accepted = step(orders, order, Fact.ACCEPTED)
    history = orders.history(order.key)

    refused = order.after(Fact.REFUSED, at=NOON)
    with pytest.raises(ConcurrentUpdate, match=order.key):
        orders.change(order, refused, run_id="late", at=NOON, fault=FAULT)
    doctored = replace(accepted, status=Status.PENDING)
    with pytest.raises(ConcurrentUpdate):
        orders.change(doctored, refused, run_id="late", at=NOON, fault=FAULT)
    with pytest.raises(ConcurrentUpdate):
        orders.change(an_order(404), an_order(404), run_id="late", at=NOON, fault=FAULT)

    assert orders.get([order.key]) == [accepted]
    assert orders.history(order.key) == history
    assert orders.errors(order.key) == []


def test_of_many_changes_at_once_one_wins(orders: Orders) -> None:
    order = an_order()
    add(orders, order)

    def race(run: int) -> bool:
        try:
            orders.change(order, order.after(Fact.ACCEPTED, at=NOON), run_id=f"{run}", at=NOON)
        except ConcurrentUpdate:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(race, range(12)))
    assert won.count(True) == 1
    assert [entry.run_id for entry in orders.history(order.key)] == ["scan", str(won.index(True))]


@pytest.mark.parametrize("reported", [{"amount": Wei(1)}, {"fee": Wei(1)}, {"number": 8}])
def test_a_step_cannot_change_what_the_escrow_logged(
    orders: Orders, reported: dict[str, object]
) -> None:
    order = an_order()
    add(orders, order)
    with pytest.raises(ValueError, match="cannot change what the escrow logged"):
        orders.change(order, replace(order, **reported), run_id="run", at=NOON)
    assert orders.get([order.key]) == [order]


def test_a_failure_is_kept_with_its_error(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    then = NOON + later(300)
    failed = order.with_failure("no answer", failed=True, next_attempt_at=then)
    changed = orders.change(order, failed, run_id="run", at=NOON, fault=FAULT)

    assert (changed.failed, changed.failures, changed.next_attempt_at) == (True, 1, then)
    entry = orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PENDING, Status.PENDING)
    assert entry.reason == "no answer"
    (error,) = orders.errors(order.key)
    assert (error.fault, error.run_id, error.at) == (FAULT, "run", NOON)


def test_the_same_failure_twice_is_two_errors(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    for _ in range(2):
        (order,) = orders.get([order.key])
        again = order.with_failure("no", failed=False, next_attempt_at=None)
        orders.change(order, again, run_id="run", at=NOON, fault=FAULT)
    assert len(orders.errors(order.key)) == 2
    assert len(orders.history(order.key)) == 3


def test_history_shows_parking_and_resuming(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    waiting = order.with_failure("first", failed=True, next_attempt_at=NOON)
    waiting = orders.change(order, waiting, run_id="run", at=NOON)
    parked = replace(waiting, next_attempt_at=None, reason="no attempts left")
    parked = orders.change(waiting, parked, run_id="run", at=NOON)
    with_failures_cleared = orders.change(
        parked, parked.with_failures_cleared(), run_id="run", at=NOON
    )
    assert not with_failures_cleared.failed
    assert [entry.reason for entry in orders.history(order.key)] == [
        None,
        "first",
        "no attempts left",
        "taken up again",
    ]


def test_history_leaves_out_what_changes_nothing(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    moved = replace(order, block=Block(11, "0xother"), set_order_tx=TxHash("0xother"))
    changed = orders.change(order, moved, run_id="run", at=NOON)
    assert changed == replace(moved, version=1)
    assert orders.get([order.key]) == [changed]
    assert len(orders.history(order.key)) == 1


def test_text_from_the_chain_is_kept_readable(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    text = "a\x00b\ud800c'; DROP TABLE orders; --\n<b>é"
    kept = "a�b?c'; DROP TABLE orders; --\n<b>é"
    failed = order.with_failure(text, failed=True, next_attempt_at=None)
    fault = replace(FAULT, message=text)
    changed = orders.change(order, failed, run_id="run", at=NOON, fault=fault)
    assert changed.reason == kept
    assert orders.get([order.key]) == [changed]
    assert orders.history(order.key)[-1].reason == kept
    assert orders.errors(order.key)[0].fault.message == kept


# asking for runs


def test_an_order_is_asked_for_once_until_long_ago(orders: Orders) -> None:
    add(orders, an_order(1))
    assert asked(orders, 0) == [1]
    assert asked(orders, 59.9) == []
    assert asked(orders, 60) == [1]
    assert asked(orders, 119) == []


def test_asking_chooses_status_and_origin_oldest_change_first(orders: Orders) -> None:
    many = [replace(an_order(n), changed_at=NOON - later(n)) for n in range(4)]
    add(orders, *many, an_order(9, origin="starknet"))
    step(orders, many[0], Fact.ACCEPTED)
    assert asked(orders, 0, origin="zksync") == [3, 2, 1]
    # the two of noon: by origin, then by number
    assert asked(orders, 0, Status.PENDING, Status.PROCESSING) == [9, 0]
    assert asked(orders, 60, Status.COMPLETED) == []


def test_asking_leaves_the_order_as_it_was_read(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    assert asked(orders, 0) == [order.number]
    assert orders.find(OrderFilter()) == [order]
    step(orders, order, Fact.ACCEPTED)


def test_orders_of_a_run_that_ended_are_asked_for_at_once(orders: Orders) -> None:
    add(orders, an_order(1), an_order(2))
    assert asked(orders, 0) == [1, 2]
    orders.release(["zksync:2", "zksync:99"])
    assert asked(orders, 1) == [2]


def test_orders_that_an_outage_hit_are_asked_for_earlier(orders: Orders) -> None:
    add(orders, an_order(1), an_order(2))
    assert asked(orders, 0) == [1, 2]
    orders.release(["zksync:2", "zksync:99"], asked_at=NOON + later(-50))
    assert asked(orders, 9) == []
    assert asked(orders, 10) == [2]


def test_failed_orders_are_not_asked_for_until_cleared(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    failed = order.with_failure("no", failed=True, next_attempt_at=NOON)
    failed = orders.change(order, failed, run_id="run", at=NOON)
    assert asked(orders, 0) == []
    orders.change(failed, failed.with_failures_cleared(), run_id="run", at=NOON)
    assert asked(orders, 0) == [order.number]


def test_a_step_or_another_try_is_asked_for_at_once(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    assert asked(orders, 0) == [7]
    again = order.with_failure("no answer", failed=False, next_attempt_at=None)
    again = orders.change(order, again, run_id="run", at=NOON)
    assert asked(orders, 1) == [7]
    accepted = step(orders, again, Fact.ACCEPTED)  # by the run that was asked for
    assert asked(orders, 2, Status.PROCESSING) == []
    step(orders, step(orders, accepted, Fact.SENT), Fact.MINED)
    assert asked(orders, 3, Status.FULFILLED) == [7]


def test_many_who_ask_at_once_never_take_the_same(orders: Orders) -> None:
    add(orders, *(an_order(n) for n in range(200)))
    with ThreadPoolExecutor(4) as pool:
        taken = [n for found in pool.map(lambda _: asked(orders, 0), range(8)) for n in found]
    assert len(taken) == len(set(taken))
    assert sorted(taken + asked(orders, 0)) == list(range(200))
