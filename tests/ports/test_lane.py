"""A wallet's lane: nonces given out by one transaction at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.bridge.transitions import Change, record_all
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import DELEGATE, Call, Fees
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    OURS,
    THEIRS,
    TOP,
    a_transaction,
    change,
    decide,
    held,
    later,
    lost,
    mined,
    processing,
    put,
    send,
    step,
    take,
)


def test_transaction_step_and_history_are_stored_together(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order, chain_nonce=5)
    assert sent.nonce == 5
    assert store.outbox.in_flight() == [sent]
    assert store.outbox.of(order.key) == [sent]

    (after,) = store.orders.get([order.key])
    assert (after.status, after.transfer_tx) == (Status.TRANSFERRING, sent.hash)
    assert after.version == order.version + 1
    entry = store.orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PROCESSING, Status.TRANSFERRING)
    assert (entry.tx, entry.run_id, entry.at) == (sent.hash, "run", NOON + later(1))


@pytest.mark.parametrize("edge", [0, TOP])
def test_a_transaction_is_exact_at_the_edges(store: BridgeStore, edge: int) -> None:
    (order,) = processing(store, 1)
    wei = Wei(edge)
    extreme = replace(
        a_transaction(order, 0),
        nonce=edge,
        raw=b"",
        call=Call(to=THEIRS, data=b"", value=wei),
        gas=Gas(edge),
        fees=Fees(base=wei, priority=wei, ceiling=wei),
    )
    with held(store, CHAIN, OURS) as (uow, lane):
        put(uow, lane, order, extreme)
    (stored,) = store.outbox.of(order.key)
    assert stored == extreme
    assert type(stored.raw) is type(stored.call.data) is bytes
    assert {type(n) for n in (stored.nonce, stored.gas, stored.call.value)} == {int}
    assert {type(n) for n in (stored.fees.base, stored.chain_id)} == {int}


def test_only_unchanged_orders_are_held(store: BridgeStore) -> None:
    first, second, third = processing(store, 1, 2, 3)
    step(store, second, Fact.REFUSED)
    with held(store, CHAIN, OURS) as (uow, _lane):
        assert uow.orders.lock([third, second, an_order(404), first]) == [third, first]
        assert uow.orders.lock([]) == []


def test_the_next_nonce_is_one_that_nobody_used(store: BridgeStore) -> None:
    with held(store, CHAIN, OURS) as (_uow, lane):
        assert lane.next_nonce(0) == 0
        assert lane.next_nonce(4) == 4
    many = processing(store, *range(4))
    sent = send(store, *many, chain_nonce=4)
    assert [t.nonce for t in sent] == [4, 5, 6, 7]
    decide(store, mined(sent[1]), None, None, run_id="run", at=NOON)
    decide(store, mined(sent[2], succeeded=False), None, None, run_id="run", at=NOON)
    decide(store, lost(sent[3]), None, None, run_id="run", at=NOON)
    with held(store, CHAIN, OURS) as (_uow, lane):
        assert lane.next_nonce(0) == 8  # the node that was asked lags behind
        assert lane.next_nonce(9) == 9
        assert lane.in_flight() == [sent[0]]


def test_a_change_of_the_wallets_code_uses_two_nonces(store: BridgeStore) -> None:
    first, second, third = processing(store, 1, 2, 3)
    with held(store, CHAIN, OURS) as (uow, lane):
        changes = a_transaction(first, 4, purpose=DELEGATE)
        put(uow, lane, first, changes)
        assert lane.next_nonce(0) == 6
        # cancelled, it would use only its own
        lane.add_replacement(replace(changes, bump=1, purpose="cancel", hash=TxHash("0x01")))
        assert lane.next_nonce(0) == 5
        put(uow, lane, second, a_transaction(second, 6))
        assert lane.next_nonce(0) == 7
        put(uow, lane, third, a_transaction(third, 7))
        assert lane.next_nonce(0) == 8


def test_wallets_and_chains_have_lanes_of_their_own(store: BridgeStore) -> None:
    first, second = processing(store, 1, 2)
    ours, theirs = send(store, first), send(store, second, chain_nonce=3, wallet=THEIRS)
    with held(store, CHAIN, OURS) as (_, one), held(store, CHAIN, THEIRS) as (_, other):
        assert (one.next_nonce(0), other.next_nonce(0)) == (1, 4)
        assert (one.in_flight(), other.in_flight()) == (ours, theirs)
    with held(store, 1, OURS) as (uow, lane):
        assert (lane.next_nonce(0), lane.in_flight()) == (0, [])
        with pytest.raises(ValueError, match="not a transaction of this lane"):
            put(uow, lane, first, a_transaction(first, 0))
    assert store.outbox.in_flight() == [*ours, *theirs]


def test_what_the_lane_writes_it_sees_itself(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    with held(store, CHAIN, OURS) as (uow, lane):
        sent = a_transaction(order, lane.next_nonce(0))
        put(uow, lane, order, sent)
        assert lane.in_flight() == [sent]
        assert lane.next_nonce(0) == 1
        assert uow.orders.lock([order]) == []
        assert store.outbox.in_flight() == []  # but nobody else does, yet
        assert store.orders.get([order.key]) == [order]
    assert store.outbox.in_flight() == [sent]


def test_an_exception_takes_everything_back(store: BridgeStore) -> None:
    first, second = processing(store, 1, 2)
    history = store.orders.history(first.key)

    def break_off() -> None:
        with held(store, CHAIN, OURS) as (uow, lane):
            for order in uow.orders.lock([first, second]):
                put(uow, lane, order, a_transaction(order, lane.next_nonce(0)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert store.outbox.in_flight() == []
    assert store.orders.get([first.key, second.key]) == [first, second]
    assert store.orders.history(first.key) == history
    assert [t.nonce for t in send(store, first)] == [0]


def test_an_attempt_has_one_transaction(store: BridgeStore) -> None:
    """No second transfer of the same attempt is stored, in any state."""
    first, second = processing(store, 1, 2)
    (sent,) = send(store, first)
    (transferring,) = store.orders.get([first.key])
    once_more = replace(transferring, status=Status.PROCESSING)
    once_more = change(store, transferring, once_more, run_id="bug", at=NOON)
    with held(store, CHAIN, OURS) as (uow, lane):
        with pytest.raises(ConcurrentUpdate, match="transfer 1"):
            put(uow, lane, once_more, a_transaction(once_more, 1))
        with pytest.raises(ConcurrentUpdate, match="nonce 0"):
            put(uow, lane, second, a_transaction(second, 0))
        put(uow, lane, second, a_transaction(second, 1))  # the lane goes on
    assert store.orders.get([first.key]) == [once_more]
    assert [t.nonce for t in store.outbox.in_flight()] == [sent.nonce, 1]


def test_a_lost_race_takes_back_all_that_was_stored_with_it(store: BridgeStore) -> None:
    """Who holds the lane locks the orders first, so that this never costs a neighbour."""
    first, second = processing(store, 1, 2)
    dropped = step(store, first, Fact.REFUSED)

    def overlook() -> None:
        with held(store, CHAIN, OURS) as (uow, lane):
            rows = [a_transaction(first, 0), a_transaction(second, 1)]
            lane.add(*rows)
            sent = [order.after(Fact.SENT, at=NOON) for order in (first, second)]
            both = [Change(before=b, after=a) for b, a in zip((first, second), sent, strict=True)]
            record_all(uow, both, run_id="run", at=NOON)

    with pytest.raises(ConcurrentUpdate):
        overlook()
    assert store.outbox.in_flight() == []
    assert [t.nonce for t in send(store, first, second)] == [0]
    assert [(t.subject, t.nonce) for t in store.outbox.in_flight()] == [(second.key, 0)]
    assert store.orders.get([first.key]) == [dropped]


def test_many_transactions_are_stored_at_once_or_none(store: BridgeStore) -> None:
    orders = processing(store, *range(25))
    with held(store, CHAIN, OURS) as (_, lane):
        lane.add(*(a_transaction(order, nonce) for nonce, order in enumerate(orders)))
    assert [t.subject for t in store.outbox.in_flight()] == [order.key for order in orders]

    def again() -> None:
        with held(store, CHAIN, OURS) as (_, lane):
            lane.add(a_transaction(an_order(25), 25), a_transaction(orders[3], 26))

    with pytest.raises(ConcurrentUpdate, match=orders[3].key):
        again()
    assert len(store.outbox.in_flight()) == 25


def test_many_threads_leave_no_gap_and_no_duplicate(store: BridgeStore) -> None:
    many = processing(store, *range(40))
    with ThreadPoolExecutor(4) as pool:
        # every order is sent by two threads
        list(pool.map(lambda order: send(store, order), [*many, *many]))
    in_flight = store.outbox.in_flight()
    assert [t.nonce for t in in_flight] == list(range(40))
    assert {t.subject for t in in_flight} == {order.key for order in many}


def test_a_held_order_waits_for_the_lane(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    started = threading.Event()

    def refuse() -> None:
        started.set()
        change(store, order, order.after(Fact.REFUSED, at=NOON), run_id="late", at=NOON)

    with ThreadPoolExecutor(1) as pool:
        with held(store, CHAIN, OURS) as (uow, lane):
            (locked,) = uow.orders.lock([order])
            refusal = pool.submit(refuse)
            assert started.wait(120)
            # who only looks for work passes by
            assert take(store, [Status.PROCESSING], None, at=NOON, retake_after_seconds=0) == []
            put(uow, lane, locked, a_transaction(locked, 0))
            assert not refusal.done()
        with pytest.raises(ConcurrentUpdate):
            refusal.result(120)
    assert store.orders.get([order.key])[0].status is Status.TRANSFERRING
