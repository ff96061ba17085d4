"""How a store keeps several transactions of one nonce, and reopens a mined one after a reorg."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Receipt, Transaction, TxState
from tests.bridge.orders import NOON
from tests.ports.store_writes import (
    CHAIN,
    FAULT,
    OURS,
    THEIRS,
    a_bump,
    a_transaction,
    decide,
    held,
    later,
    lost,
    mined,
    move,
    processing,
    put,
    reopen,
    send,
)

MOVED = Block(13, "0x13")


def replaced(store: BridgeStore, sent: Transaction, bump: int = 1) -> Transaction:
    new = a_bump(sent, bump)
    with held(store, CHAIN, OURS) as (_uow, lane):
        lane.add_replacement(new)
    return new


def states(store: BridgeStore, key: str) -> list[TxState]:
    return [row.state for row in store.outbox.of(key)]


def transferring(store: BridgeStore) -> tuple[Order, Transaction]:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    return store.orders.get([order.key])[0], sent


def receipt(sent: Transaction, block: Block) -> Receipt:
    gas, price = Gas(20_000), Wei(2)
    return Receipt(hash=sent.hash, succeeded=True, block=block, gas_used=gas, gas_price=price)


def test_a_nonce_takes_several_transactions_while_it_is_undecided(store: BridgeStore) -> None:
    order, sent = transferring(store)
    with held(store, CHAIN, OURS) as (_uow, lane):
        bump = a_bump(sent)
        lane.add_replacement(bump)
        assert lane.in_flight() == [sent, bump]
        assert lane.next_nonce(0) == sent.nonce + 1
        assert (lane.next_bump(sent.nonce), lane.next_bump(sent.nonce + 1)) == (2, 0)
    again = replaced(store, bump, 2)
    assert store.outbox.in_flight() == store.outbox.of(order.key) == [sent, bump, again]
    assert store.orders.get([order.key]) == [order]


def test_what_was_replaced_meanwhile_is_not_called_lost(store: BridgeStore) -> None:
    order, sent = transferring(store)
    bump = replaced(store, sent)
    at = NOON + later(2)
    after = order.after(Fact.LOST, at=at)
    with pytest.raises(ConcurrentUpdate):
        decide(store, lost(sent), order, after, run_id="run-1", at=at)
    assert store.outbox.in_flight() == [sent, bump]
    decide(store, lost(bump, sent), order, after, run_id="run-1", at=at)
    assert states(store, order.key) == [TxState.LOST] * 2


def test_a_subject_is_cancelled_at_two_nonces_of_one_attempt(store: BridgeStore) -> None:
    order, sent = transferring(store)
    with held(store, CHAIN, OURS) as (uow, lane):
        lane.add_replacement(a_bump(sent, purpose="cancel"))
    at = NOON + later(2)
    after = order.after(Fact.MINED, at=at, tx=sent.hash)
    decide(store, mined(sent), order, after, run_id="run-1", at=at)
    (order,) = store.orders.get([order.key])
    with held(store, CHAIN, OURS) as (uow, lane):
        claim = a_transaction(order, lane.next_nonce(0), purpose="repay")
        put(uow, lane, order, claim)
        lane.add_replacement(a_bump(claim, lane.next_bump(claim.nonce), purpose="cancel"))
    assert [row.nonce for row in store.outbox.in_flight()] == [claim.nonce] * 2


def test_two_never_replace_the_same_one(store: BridgeStore) -> None:
    _, sent = transferring(store)
    replaced(store, sent)
    other = replace(a_bump(sent), hash=TxHash("0x" + "77" * 32))
    with held(store, CHAIN, OURS) as (_, lane), pytest.raises(ConcurrentUpdate):
        lane.add_replacement(other)
    with (
        held(store, CHAIN, OURS) as (_, lane),
        pytest.raises(ValueError, match="not a transaction of"),
    ):
        lane.add_replacement(replace(a_bump(sent, 2), wallet=THEIRS))


def test_an_exception_takes_a_replacement_back(store: BridgeStore) -> None:
    _, sent = transferring(store)

    def break_off() -> None:
        with held(store, CHAIN, OURS) as (_uow, lane):
            lane.add_replacement(a_bump(sent))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert store.outbox.in_flight() == [sent]


@pytest.mark.parametrize("winner", [0, 1, 2])
def test_whichever_is_mined_the_others_are_replaced(store: BridgeStore, winner: int) -> None:
    order, sent = transferring(store)
    rows = [sent, replaced(store, sent), replaced(store, sent, 2)]
    after = order.after(Fact.MINED, at=NOON, tx=rows[winner].hash)
    decide(store, mined(rows[winner]), order, after, run_id="run", at=NOON)
    expected = [TxState.REPLACED] * 3
    expected[winner] = TxState.MINED
    assert states(store, order.key) == expected
    assert store.outbox.in_flight() == []
    assert store.orders.get([order.key])[0].transfer_tx == rows[winner].hash
    with (
        held(store, CHAIN, OURS) as (_, lane),
        pytest.raises(ConcurrentUpdate, match="nonce 0 is decided"),
    ):
        lane.add_replacement(a_bump(sent, 3))


def test_all_of_a_nonce_are_lost_together(store: BridgeStore) -> None:
    order, sent = transferring(store)
    bump = replaced(store, sent)
    decide(store, lost(bump, sent), order, order.after(Fact.LOST, at=NOON), run_id="run", at=NOON)
    assert states(store, order.key) == [TxState.LOST] * 2


def test_of_deciding_and_replacing_at_once_none_is_forgotten(store: BridgeStore) -> None:
    for number, nonce in zip(range(6), range(6), strict=True):
        (order,) = processing(store, number)
        (sent,) = send(store, order)
        assert sent.nonce == nonce

        def try_replacing(sent: Transaction = sent) -> None:
            try:
                replaced(store, sent)
            except ConcurrentUpdate:
                return

        with ThreadPoolExecutor(2) as pool:
            outcome = mined(sent)
            jobs = [
                pool.submit(try_replacing),
                pool.submit(decide, store, outcome, None, None, run_id="run", at=NOON),
            ]
            for job in jobs:
                job.result(120)
        assert store.outbox.in_flight() == []


def test_only_a_lost_nonce_takes_another_subject(store: BridgeStore) -> None:
    order, sent = transferring(store)
    filler = replace(a_bump(sent, purpose="cancel"), subject="nonce:0")
    with held(store, CHAIN, OURS) as (_, lane), pytest.raises(ConcurrentUpdate):
        lane.add_replacement(filler)
    decide(store, lost(sent), order, order.after(Fact.LOST, at=NOON), run_id="run", at=NOON)
    with held(store, CHAIN, OURS) as (_, lane), pytest.raises(ConcurrentUpdate):
        lane.add_replacement(a_bump(sent, 2))
    with held(store, CHAIN, OURS) as (_uow, lane):
        lane.add_replacement(filler)
        lane.add_replacement(replace(filler, nonce=9, attempt=2, hash=TxHash("0x" + "99" * 32)))
    assert [t.nonce for t in store.outbox.in_flight()] == [0, 9]
    decide(store, mined(filler), None, None, run_id="run", at=NOON)
    assert states(store, order.key) == [TxState.LOST]


def test_what_was_mined_is_listed_by_its_block(store: BridgeStore) -> None:
    (first, second, third) = processing(store, 1, 2, 3)
    sent = send(store, first, second, third)
    decide(store, mined(sent[0]), None, None, run_id="run", at=NOON)
    decide(store, mined(sent[1], succeeded=False), None, None, run_id="run", at=NOON)
    decide(store, lost(sent[2]), None, None, run_id="run", at=NOON)
    assert [t.nonce for t in store.outbox.mined_since(12)] == [0, 1]
    assert store.outbox.mined_since(13) == []


def test_a_mined_one_can_move_to_another_block(store: BridgeStore) -> None:
    order, sent = transferring(store)
    decide(store, mined(sent), None, None, run_id="run", at=NOON)
    (before,) = store.outbox.of(order.key)
    move(store, before, receipt(sent, MOVED))
    (after,) = store.outbox.of(order.key)
    assert (after.block, after.state) == (MOVED, TxState.MINED)
    with pytest.raises(ConcurrentUpdate):
        move(store, before, receipt(sent, Block(14, "0x14")))


def test_a_nonce_is_undecided_again_with_the_orders_step(store: BridgeStore) -> None:
    order, sent = transferring(store)
    bump = replaced(store, sent)
    paid = order.after(Fact.MINED, at=NOON, tx=bump.hash)
    decide(store, mined(bump), order, paid, run_id="run", at=NOON)
    (order,) = store.orders.get([order.key])
    row = store.outbox.of(order.key)[1]
    back = order.after(Fact.TRANSFER_REORGED, at=NOON)
    reopen(store, row, order, back, run_id="run", at=NOON + later(5), fault=FAULT)

    assert store.orders.get([order.key])[0].status is Status.TRANSFERRING
    assert store.outbox.in_flight() == [
        replace(sent, stored_at=NOON + later(5)),
        replace(bump, stored_at=NOON + later(5)),
    ]
    assert store.orders.history(order.key)[-1].tx == bump.hash
    assert store.outbox.mined_since(0) == []
    with pytest.raises(ConcurrentUpdate):
        reopen(store, row, None, None, run_id="late", at=NOON)


def test_a_lost_nonce_can_be_free_again(store: BridgeStore) -> None:
    order, sent = transferring(store)
    bump = replaced(store, sent)
    decide(store, lost(bump, sent), None, None, run_id="run", at=NOON)
    row = store.outbox.of(order.key)[-1]
    reopen(store, row, None, None, run_id="run", at=NOON)
    assert states(store, order.key) == [TxState.STORED] * 2


def test_a_rollback_of_what_changed_writes_nothing(store: BridgeStore) -> None:
    order, sent = transferring(store)
    after = order.after(Fact.MINED, at=NOON)
    decide(store, mined(sent), order, after, run_id="run", at=NOON)
    (row,) = store.outbox.of(order.key)
    (paid,) = store.orders.get([order.key])
    back = order.after(Fact.MINED, at=NOON).after(Fact.TRANSFER_REORGED, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        reopen(store, row, order, back, run_id="late", at=NOON)
    assert store.outbox.of(order.key) == [row]
    assert store.orders.get([order.key]) == [paid]
