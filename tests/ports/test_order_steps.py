"""How changes of orders are stored."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import BridgeStore, OrderFilter
from mmbot_pipelines.bridge.transitions import Change, record_all
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import FAULT, add, change, later, release, step, take

PENDING = [Status.PENDING]


def asked(
    store: BridgeStore, seconds: float, *statuses: Status, origin: str | None = None
) -> list[int]:
    found = take(
        store, statuses or PENDING, origin, at=NOON + later(seconds), retake_after_seconds=60
    )
    return [order.number for order in found]


def test_a_change_is_stored_with_its_history(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    tx = TxHash("0x" + "11" * 32)
    after = order.after(Fact.PAID, at=NOON + later(9), tx=tx, reason="the registry has it")
    changed = change(store, order, after, run_id="run 5", at=NOON + later(10), tx=tx)

    assert changed == replace(after, version=1)
    assert store.orders.get([order.key]) == [changed]
    entry = store.orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PENDING, Status.FULFILLED)
    assert (entry.at, entry.run_id, entry.tx) == (NOON + later(10), "run 5", tx)
    assert entry.reason == "the registry has it"


def test_a_change_of_a_changed_order_writes_nothing(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    accepted = step(store, order, Fact.ACCEPTED)
    history = store.orders.history(order.key)

    refused = order.after(Fact.REFUSED, at=NOON)
    with pytest.raises(ConcurrentUpdate, match=order.key):
        change(store, order, refused, run_id="late", at=NOON, fault=FAULT)
    doctored = replace(accepted, status=Status.PENDING)
    with pytest.raises(ConcurrentUpdate):
        change(store, doctored, refused, run_id="late", at=NOON, fault=FAULT)
    with pytest.raises(ConcurrentUpdate):
        change(store, an_order(404), an_order(404), run_id="late", at=NOON, fault=FAULT)

    assert store.orders.get([order.key]) == [accepted]
    assert store.orders.history(order.key) == history
    assert store.errors.of(order.key) == []


def test_changes_of_many_orders_are_stored_as_each_alone(store: BridgeStore) -> None:
    numbers = range(30)
    add(store, *map(an_order, numbers))
    assert asked(store, 0) == list(numbers)
    accepted = [
        Change(before=order, after=order.after(Fact.ACCEPTED, at=NOON))
        for order in map(an_order, numbers[:20])
    ]
    failed = Change(
        before=an_order(20),
        after=an_order(20).with_failure("no", failed=True, next_attempt_at=NOON),
        tx=TxHash("0x" + "11" * 32),
        fault=FAULT,
    )
    waits = Change(before=an_order(21), after=an_order(21).with_wait_reason("waits", at=NOON))
    with store.begin() as uow:
        stored = record_all(uow, [*accepted, failed, waits], run_id="run", at=NOON)
    assert store.orders.get([order.key for order in stored]) == stored
    assert stored == [replace(c.after, version=1) for c in (*accepted, failed, waits)]
    for change_ in (*accepted, failed):
        (_, entry) = store.orders.history(change_.before.key)
        assert (entry.before, entry.after) == (Status.PENDING, change_.after.status)
        assert entry.tx == change_.tx
    assert len(store.orders.history(an_order(21).key)) == 1
    assert [e.fault for e in store.errors.of_run("run")] == [FAULT]
    # the same run goes on with what it accepted, and nobody asks again for what waits
    assert asked(store, 1, Status.PENDING, Status.PROCESSING) == []

    def overlook() -> None:
        with store.begin() as uow:
            dropped = [o.after(Fact.REFUSED, at=NOON) for o in (stored[0], an_order(22))]
            befores = (an_order(0), an_order(22))
            both = [Change(before=b, after=a) for b, a in zip(befores, dropped, strict=True)]
            record_all(uow, both, run_id="late", at=NOON)

    with pytest.raises(ConcurrentUpdate, match="zksync:22"):
        overlook()
    assert store.orders.get([stored[0].key, an_order(22).key]) == [stored[0], an_order(22)]


def test_of_many_changes_at_once_one_wins(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)

    def race(run: int) -> bool:
        try:
            change(store, order, order.after(Fact.ACCEPTED, at=NOON), run_id=f"{run}", at=NOON)
        except ConcurrentUpdate:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(race, range(12)))
    assert won.count(True) == 1
    assert [entry.run_id for entry in store.orders.history(order.key)] == [
        "scan",
        str(won.index(True)),
    ]


@pytest.mark.parametrize("reported", [{"amount": Wei(1)}, {"fee": Wei(1)}, {"number": 8}])
def test_a_step_cannot_change_what_the_escrow_logged(
    store: BridgeStore, reported: dict[str, object]
) -> None:
    order = an_order()
    add(store, order)
    with pytest.raises(ValueError, match="cannot change what the escrow logged"):
        change(store, order, replace(order, **reported), run_id="run", at=NOON)
    assert store.orders.get([order.key]) == [order]


def test_a_failure_is_kept_with_its_error(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    then = NOON + later(300)
    failed = order.with_failure("no answer", failed=True, next_attempt_at=then)
    changed = change(store, order, failed, run_id="run", at=NOON, fault=FAULT)

    assert (changed.failed, changed.failures, changed.next_attempt_at) == (True, 1, then)
    entry = store.orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PENDING, Status.PENDING)
    assert entry.reason == "no answer"
    (error,) = store.errors.of(order.key)
    assert (error.fault, error.run_id, error.at) == (FAULT, "run", NOON)


def test_the_same_failure_twice_is_two_errors(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    for _ in range(2):
        (order,) = store.orders.get([order.key])
        again = order.with_failure("no", failed=False, next_attempt_at=None)
        change(store, order, again, run_id="run", at=NOON, fault=FAULT)
    assert len(store.errors.of(order.key)) == 2
    assert len(store.orders.history(order.key)) == 3


def test_history_shows_parking_and_resuming(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    waiting = order.with_failure("first", failed=True, next_attempt_at=NOON)
    waiting = change(store, order, waiting, run_id="run", at=NOON)
    parked = replace(waiting, next_attempt_at=None, reason="no attempts left")
    parked = change(store, waiting, parked, run_id="run", at=NOON)
    with_failures_cleared = change(
        store, parked, parked.with_failures_cleared(), run_id="run", at=NOON
    )
    assert not with_failures_cleared.failed
    assert [entry.reason for entry in store.orders.history(order.key)] == [
        None,
        "first",
        "no attempts left",
        "taken up again",
    ]


def test_history_leaves_out_what_changes_nothing(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    moved = replace(order, block=Block(11, "0xother"), set_order_tx=TxHash("0xother"))
    changed = change(store, order, moved, run_id="run", at=NOON)
    assert changed == replace(moved, version=1)
    assert store.orders.get([order.key]) == [changed]
    assert len(store.orders.history(order.key)) == 1


def test_text_from_the_chain_is_kept_readable(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    text = "a\x00b\ud800c'; DROP TABLE orders; --\n<b>é"
    kept = "a�b?c'; DROP TABLE orders; --\n<b>é"
    failed = order.with_failure(text, failed=True, next_attempt_at=None)
    fault = replace(FAULT, message=text)
    changed = change(store, order, failed, run_id="run", at=NOON, fault=fault)
    assert changed.reason == kept
    assert store.orders.get([order.key]) == [changed]
    assert store.orders.history(order.key)[-1].reason == kept
    assert store.errors.of(order.key)[0].fault.message == kept


# asking for runs


def test_an_order_is_asked_for_once_until_long_ago(store: BridgeStore) -> None:
    add(store, an_order(1))
    assert asked(store, 0) == [1]
    assert asked(store, 59.9) == []
    assert asked(store, 60) == [1]
    assert asked(store, 119) == []


def test_asking_chooses_status_and_origin_oldest_change_first(store: BridgeStore) -> None:
    many = [replace(an_order(n), changed_at=NOON - later(n)) for n in range(4)]
    add(store, *many, an_order(9, origin="starknet"))
    step(store, many[0], Fact.ACCEPTED)
    assert asked(store, 0, origin="zksync") == [3, 2, 1]
    # the two of noon: by origin, then by number
    assert asked(store, 0, Status.PENDING, Status.PROCESSING) == [9, 0]
    assert asked(store, 60, Status.COMPLETED) == []


def test_asking_leaves_the_order_as_it_was_read(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    assert asked(store, 0) == [order.number]
    assert store.orders.find(OrderFilter()) == [order]
    step(store, order, Fact.ACCEPTED)


def test_orders_of_a_run_that_ended_are_asked_for_at_once(store: BridgeStore) -> None:
    add(store, an_order(1), an_order(2))
    assert asked(store, 0) == [1, 2]
    release(store, ["zksync:2", "zksync:99"])
    assert asked(store, 1) == [2]


def test_orders_that_an_outage_hit_are_asked_for_earlier(store: BridgeStore) -> None:
    add(store, an_order(1), an_order(2))
    assert asked(store, 0) == [1, 2]
    release(store, ["zksync:2", "zksync:99"], asked_at=NOON + later(-50))
    assert asked(store, 9) == []
    assert asked(store, 10) == [2]


def test_failed_orders_are_not_asked_for_until_cleared(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    failed = order.with_failure("no", failed=True, next_attempt_at=NOON)
    failed = change(store, order, failed, run_id="run", at=NOON)
    assert asked(store, 0) == []
    change(store, failed, failed.with_failures_cleared(), run_id="run", at=NOON)
    assert asked(store, 0) == [order.number]


def test_a_step_or_another_try_is_asked_for_at_once(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    assert asked(store, 0) == [7]
    again = order.with_failure("no answer", failed=False, next_attempt_at=None)
    again = change(store, order, again, run_id="run", at=NOON)
    assert asked(store, 1) == [7]
    accepted = step(store, again, Fact.ACCEPTED)  # by the run that was asked for
    assert asked(store, 2, Status.PROCESSING) == []
    step(store, step(store, accepted, Fact.SENT), Fact.MINED)
    assert asked(store, 3, Status.FULFILLED) == [7]


def test_many_who_ask_at_once_never_take_the_same(store: BridgeStore) -> None:
    add(store, *(an_order(n) for n in range(200)))
    with ThreadPoolExecutor(4) as pool:
        taken = [n for found in pool.map(lambda _: asked(store, 0), range(8)) for n in found]
    assert len(taken) == len(set(taken))
    assert sorted(taken + asked(store, 0)) == list(range(200))
