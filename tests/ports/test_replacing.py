"""How a store keeps several transactions of one nonce, and reopens a mined one after a reorg."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Orders
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
    later,
    lost,
    mined,
    processing,
    put,
    send,
)

MOVED = Block(13, "0x13")


def replaced(orders: Orders, sent: Transaction, bump: int = 1) -> Transaction:
    new = a_bump(sent, bump)
    with orders.lane(CHAIN, OURS) as lane:
        lane.replace(new)
    return new


def states(orders: Orders, key: str) -> list[TxState]:
    return [row.state for row in orders.transactions(key)]


def transferring(orders: Orders) -> tuple[Order, Transaction]:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    return orders.get([order.key])[0], sent


def receipt(sent: Transaction, block: Block) -> Receipt:
    gas, price = Gas(20_000), Wei(2)
    return Receipt(hash=sent.hash, succeeded=True, block=block, gas_used=gas, gas_price=price)


def test_a_nonce_takes_several_transactions_while_it_is_undecided(orders: Orders) -> None:
    order, sent = transferring(orders)
    with orders.lane(CHAIN, OURS) as lane:
        bump = a_bump(sent)
        lane.replace(bump)
        assert lane.in_flight() == [sent, bump]
        assert lane.next_nonce(0) == sent.nonce + 1
        assert (lane.next_bump(sent.nonce), lane.next_bump(sent.nonce + 1)) == (2, 0)
    again = replaced(orders, bump, 2)
    assert orders.in_flight() == orders.transactions(order.key) == [sent, bump, again]
    assert orders.get([order.key]) == [order]


def test_what_was_replaced_meanwhile_is_not_called_lost(orders: Orders) -> None:
    order, sent = transferring(orders)
    bump = replaced(orders, sent)
    at = NOON + later(2)
    after = order.after(Fact.LOST, at=at)
    with pytest.raises(ConcurrentUpdate):
        orders.decide(lost(sent), order, after, run_id="run-1", at=at)
    assert orders.in_flight() == [sent, bump]
    orders.decide(lost(bump, sent), order, after, run_id="run-1", at=at)
    assert states(orders, order.key) == [TxState.LOST] * 2


def test_a_subject_is_cancelled_at_two_nonces_of_one_attempt(orders: Orders) -> None:
    order, sent = transferring(orders)
    with orders.lane(CHAIN, OURS) as lane:
        lane.replace(a_bump(sent, purpose="cancel"))
    at = NOON + later(2)
    after = order.after(Fact.MINED, at=at, tx=sent.hash)
    orders.decide(mined(sent), order, after, run_id="run-1", at=at)
    (order,) = orders.get([order.key])
    with orders.lane(CHAIN, OURS) as lane:
        claim = a_transaction(order, lane.next_nonce(0), purpose="repay")
        put(lane, order, claim)
        lane.replace(a_bump(claim, lane.next_bump(claim.nonce), purpose="cancel"))
    assert [row.nonce for row in orders.in_flight()] == [claim.nonce] * 2


def test_two_never_replace_the_same_one(orders: Orders) -> None:
    _, sent = transferring(orders)
    replaced(orders, sent)
    other = replace(a_bump(sent), hash=TxHash("0x" + "77" * 32))
    with orders.lane(CHAIN, OURS) as lane, pytest.raises(ConcurrentUpdate):
        lane.replace(other)
    with orders.lane(CHAIN, OURS) as lane, pytest.raises(ValueError, match="not a transaction of"):
        lane.replace(replace(a_bump(sent, 2), wallet=THEIRS))


def test_an_exception_takes_a_replacement_back(orders: Orders) -> None:
    _, sent = transferring(orders)

    def break_off() -> None:
        with orders.lane(CHAIN, OURS) as lane:
            lane.replace(a_bump(sent))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert orders.in_flight() == [sent]


@pytest.mark.parametrize("winner", [0, 1, 2])
def test_whichever_is_mined_the_others_are_replaced(orders: Orders, winner: int) -> None:
    order, sent = transferring(orders)
    rows = [sent, replaced(orders, sent), replaced(orders, sent, 2)]
    after = order.after(Fact.MINED, at=NOON, tx=rows[winner].hash)
    orders.decide(mined(rows[winner]), order, after, run_id="run", at=NOON)
    expected = [TxState.REPLACED] * 3
    expected[winner] = TxState.MINED
    assert states(orders, order.key) == expected
    assert orders.in_flight() == []
    assert orders.get([order.key])[0].transfer_tx == rows[winner].hash
    with (
        orders.lane(CHAIN, OURS) as lane,
        pytest.raises(ConcurrentUpdate, match="nonce 0 is decided"),
    ):
        lane.replace(a_bump(sent, 3))


def test_all_of_a_nonce_are_lost_together(orders: Orders) -> None:
    order, sent = transferring(orders)
    bump = replaced(orders, sent)
    orders.decide(lost(bump, sent), order, order.after(Fact.LOST, at=NOON), run_id="run", at=NOON)
    assert states(orders, order.key) == [TxState.LOST] * 2


def test_of_deciding_and_replacing_at_once_none_is_forgotten(orders: Orders) -> None:
    for number, nonce in zip(range(6), range(6), strict=True):
        (order,) = processing(orders, number)
        (sent,) = send(orders, order)
        assert sent.nonce == nonce

        def try_replacing(sent: Transaction = sent) -> None:
            try:
                replaced(orders, sent)
            except ConcurrentUpdate:
                return

        with ThreadPoolExecutor(2) as pool:
            outcome = mined(sent)
            jobs = [
                pool.submit(try_replacing),
                pool.submit(orders.decide, outcome, None, None, run_id="run", at=NOON),
            ]
            for job in jobs:
                job.result(30)
        assert orders.in_flight() == []


def test_only_a_lost_nonce_takes_another_subject(orders: Orders) -> None:
    order, sent = transferring(orders)
    filler = replace(a_bump(sent, purpose="cancel"), subject="nonce:0")
    with orders.lane(CHAIN, OURS) as lane, pytest.raises(ConcurrentUpdate):
        lane.replace(filler)
    orders.decide(lost(sent), order, order.after(Fact.LOST, at=NOON), run_id="run", at=NOON)
    with orders.lane(CHAIN, OURS) as lane, pytest.raises(ConcurrentUpdate):
        lane.replace(a_bump(sent, 2))
    with orders.lane(CHAIN, OURS) as lane:
        lane.replace(filler)
        lane.replace(replace(filler, nonce=9, attempt=2, hash=TxHash("0x" + "99" * 32)))
    assert [t.nonce for t in orders.in_flight()] == [0, 9]
    orders.decide(mined(filler), None, None, run_id="run", at=NOON)
    assert states(orders, order.key) == [TxState.LOST]


def test_what_was_mined_is_listed_by_its_block(orders: Orders) -> None:
    (first, second, third) = processing(orders, 1, 2, 3)
    sent = send(orders, first, second, third)
    orders.decide(mined(sent[0]), None, None, run_id="run", at=NOON)
    orders.decide(mined(sent[1], succeeded=False), None, None, run_id="run", at=NOON)
    orders.decide(lost(sent[2]), None, None, run_id="run", at=NOON)
    assert [t.nonce for t in orders.mined_since(12)] == [0, 1]
    assert orders.mined_since(13) == []


def test_a_mined_one_can_move_to_another_block(orders: Orders) -> None:
    order, sent = transferring(orders)
    orders.decide(mined(sent), None, None, run_id="run", at=NOON)
    (before,) = orders.transactions(order.key)
    orders.move_to_block(before, receipt(sent, MOVED))
    (after,) = orders.transactions(order.key)
    assert (after.block, after.state) == (MOVED, TxState.MINED)
    with pytest.raises(ConcurrentUpdate):
        orders.move_to_block(before, receipt(sent, Block(14, "0x14")))


def test_a_nonce_is_undecided_again_with_the_orders_step(orders: Orders) -> None:
    order, sent = transferring(orders)
    bump = replaced(orders, sent)
    paid = order.after(Fact.MINED, at=NOON, tx=bump.hash)
    orders.decide(mined(bump), order, paid, run_id="run", at=NOON)
    (order,) = orders.get([order.key])
    row = orders.transactions(order.key)[1]
    back = order.after(Fact.TRANSFER_REORGED, at=NOON)
    orders.reopen_nonce(row, order, back, run_id="run", at=NOON + later(5), fault=FAULT)

    assert orders.get([order.key])[0].status is Status.TRANSFERRING
    assert orders.in_flight() == [
        replace(sent, stored_at=NOON + later(5)),
        replace(bump, stored_at=NOON + later(5)),
    ]
    assert orders.history(order.key)[-1].tx == bump.hash
    assert orders.mined_since(0) == []
    with pytest.raises(ConcurrentUpdate):
        orders.reopen_nonce(row, None, None, run_id="late", at=NOON)


def test_a_lost_nonce_can_be_free_again(orders: Orders) -> None:
    order, sent = transferring(orders)
    bump = replaced(orders, sent)
    orders.decide(lost(bump, sent), None, None, run_id="run", at=NOON)
    row = orders.transactions(order.key)[-1]
    orders.reopen_nonce(row, None, None, run_id="run", at=NOON)
    assert states(orders, order.key) == [TxState.STORED] * 2


def test_a_rollback_of_what_changed_writes_nothing(orders: Orders) -> None:
    order, sent = transferring(orders)
    after = order.after(Fact.MINED, at=NOON)
    orders.decide(mined(sent), order, after, run_id="run", at=NOON)
    (row,) = orders.transactions(order.key)
    (paid,) = orders.get([order.key])
    back = order.after(Fact.MINED, at=NOON).after(Fact.TRANSFER_REORGED, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        orders.reopen_nonce(row, order, back, run_id="late", at=NOON)
    assert orders.transactions(order.key) == [row]
    assert orders.get([order.key]) == [paid]
