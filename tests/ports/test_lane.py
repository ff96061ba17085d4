"""A wallet's lane: run on the store in memory and the one in Postgres."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import Orders
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    OURS,
    THEIRS,
    TOP,
    a_transaction,
    later,
    lost,
    mined,
    processing,
    put,
    send,
    step,
)


def test_transaction_step_and_history_are_stored_together(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order, chain_nonce=5)
    assert sent.nonce == 5
    assert orders.in_flight() == [sent]
    assert orders.transactions(order.key) == [sent]

    (after,) = orders.get([order.key])
    assert (after.status, after.transfer_tx) == (Status.TRANSFERRING, sent.hash)
    assert after.version == order.version + 1
    entry = orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PROCESSING, Status.TRANSFERRING)
    assert (entry.tx, entry.run_id, entry.at) == (sent.hash, "run", NOON + later(1))


@pytest.mark.parametrize("edge", [0, TOP])
def test_a_transaction_is_exact_at_the_edges(orders: Orders, edge: int) -> None:
    (order,) = processing(orders, 1)
    wei = Wei(edge)
    extreme = replace(
        a_transaction(order, 0),
        nonce=edge,
        raw=b"",
        call=Call(to=THEIRS, data=b"", value=wei),
        gas=Gas(edge),
        fees=Fees(base=wei, priority=wei, ceiling=wei),
    )
    with orders.lane(CHAIN, OURS) as lane:
        put(lane, order, extreme)
    (stored,) = orders.transactions(order.key)
    assert stored == extreme
    assert type(stored.raw) is type(stored.call.data) is bytes
    assert {type(n) for n in (stored.nonce, stored.gas, stored.call.value)} == {int}
    assert {type(n) for n in (stored.fees.base, stored.chain_id)} == {int}


def test_only_unchanged_orders_are_held(orders: Orders) -> None:
    first, second, third = processing(orders, 1, 2, 3)
    step(orders, second, Fact.REFUSED)
    with orders.lane(CHAIN, OURS) as lane:
        assert lane.lock_orders([third, second, an_order(404), first]) == [third, first]
        assert lane.lock_orders([]) == []


def test_the_next_nonce_is_one_that_nobody_used(orders: Orders) -> None:
    with orders.lane(CHAIN, OURS) as lane:
        assert lane.next_nonce(0) == 0
        assert lane.next_nonce(4) == 4
    many = processing(orders, *range(4))
    sent = send(orders, *many, chain_nonce=4)
    assert [t.nonce for t in sent] == [4, 5, 6, 7]
    orders.decide(mined(sent[1]), None, None, run_id="run", at=NOON)
    orders.decide(mined(sent[2], succeeded=False), None, None, run_id="run", at=NOON)
    orders.decide(lost(sent[3]), None, None, run_id="run", at=NOON)
    with orders.lane(CHAIN, OURS) as lane:
        assert lane.next_nonce(0) == 8  # the node that was asked lags behind
        assert lane.next_nonce(9) == 9
        assert lane.in_flight() == [sent[0]]


def test_wallets_and_chains_have_lanes_of_their_own(orders: Orders) -> None:
    first, second = processing(orders, 1, 2)
    ours, theirs = send(orders, first), send(orders, second, chain_nonce=3, wallet=THEIRS)
    with orders.lane(CHAIN, OURS) as one, orders.lane(CHAIN, THEIRS) as other:
        assert (one.next_nonce(0), other.next_nonce(0)) == (1, 4)
        assert (one.in_flight(), other.in_flight()) == (ours, theirs)
    with orders.lane(1, OURS) as lane:
        assert (lane.next_nonce(0), lane.in_flight()) == (0, [])
        with pytest.raises(ValueError, match="not a transaction of this lane"):
            put(lane, first, a_transaction(first, 0))
    assert orders.in_flight() == [*ours, *theirs]


def test_what_the_lane_writes_it_sees_itself(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    with orders.lane(CHAIN, OURS) as lane:
        sent = a_transaction(order, lane.next_nonce(0))
        put(lane, order, sent)
        assert lane.in_flight() == [sent]
        assert lane.next_nonce(0) == 1
        assert lane.lock_orders([order]) == []
        assert orders.in_flight() == []  # but nobody else does, yet
        assert orders.get([order.key]) == [order]
    assert orders.in_flight() == [sent]


def test_an_exception_takes_everything_back(orders: Orders) -> None:
    first, second = processing(orders, 1, 2)
    history = orders.history(first.key)

    def break_off() -> None:
        with orders.lane(CHAIN, OURS) as lane:
            for order in lane.lock_orders([first, second]):
                put(lane, order, a_transaction(order, lane.next_nonce(0)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert orders.in_flight() == []
    assert orders.get([first.key, second.key]) == [first, second]
    assert orders.history(first.key) == history
    assert [t.nonce for t in send(orders, first)] == [0]


def test_an_attempt_has_one_transaction(orders: Orders) -> None:
    """No second transfer of the same attempt is stored, in any state."""
    first, second = processing(orders, 1, 2)
    (sent,) = send(orders, first)
    (transferring,) = orders.get([first.key])
    once_more = replace(transferring, status=Status.PROCESSING)
    once_more = orders.change(transferring, once_more, run_id="bug", at=NOON)
    with orders.lane(CHAIN, OURS) as lane:
        with pytest.raises(ConcurrentUpdate, match="transfer 1"):
            put(lane, once_more, a_transaction(once_more, 1))
        with pytest.raises(ConcurrentUpdate, match="nonce 0"):
            put(lane, second, a_transaction(second, 0))
        put(lane, second, a_transaction(second, 1))  # the lane goes on
    assert orders.get([first.key]) == [once_more]
    assert [t.nonce for t in orders.in_flight()] == [sent.nonce, 1]


def test_a_lost_race_in_the_lane_leaves_no_transaction(orders: Orders) -> None:
    first, second = processing(orders, 1, 2)
    dropped = step(orders, first, Fact.REFUSED)
    with orders.lane(CHAIN, OURS) as lane:
        with pytest.raises(ConcurrentUpdate):
            put(lane, first, a_transaction(first, 0))
        put(lane, second, a_transaction(second, lane.next_nonce(0)))
    assert [(t.subject, t.nonce) for t in orders.in_flight()] == [(second.key, 0)]
    assert orders.get([first.key]) == [dropped]


def test_many_threads_leave_no_gap_and_no_duplicate(orders: Orders) -> None:
    many = processing(orders, *range(40))
    with ThreadPoolExecutor(4) as pool:
        # every order is sent by two threads
        list(pool.map(lambda order: send(orders, order), [*many, *many]))
    in_flight = orders.in_flight()
    assert [t.nonce for t in in_flight] == list(range(40))
    assert {t.subject for t in in_flight} == {order.key for order in many}


def test_a_held_order_waits_for_the_lane(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    started = threading.Event()

    def refuse() -> None:
        started.set()
        orders.change(order, order.after(Fact.REFUSED, at=NOON), run_id="late", at=NOON)

    with ThreadPoolExecutor(1) as pool:
        with orders.lane(CHAIN, OURS) as lane:
            (held,) = lane.lock_orders([order])
            refusal = pool.submit(refuse)
            assert started.wait(10)
            # who only looks for work passes by
            assert (
                orders.take_for_run([Status.PROCESSING], None, at=NOON, retake_after_seconds=0)
                == []
            )
            put(lane, held, a_transaction(held, 0))
            assert not refusal.done()
        with pytest.raises(ConcurrentUpdate):
            refusal.result(30)
    assert orders.get([order.key])[0].status is Status.TRANSFERRING
