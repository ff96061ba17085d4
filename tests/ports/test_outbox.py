"""How a store keeps what became of transactions: run in memory and in Postgres."""

from dataclasses import replace
from datetime import datetime

import pytest

from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import Orders
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Block, Transaction, TxState
from tests.bridge.orders import NOON
from tests.ports.store_writes import (
    CHAIN,
    FAULT,
    OURS,
    a_transaction,
    later,
    lost,
    mined,
    processing,
    put,
    send,
)


def test_a_decision_is_stored_with_its_step(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    (before,) = orders.get([order.key])
    after = before.after(Fact.MINED, at=NOON)
    orders.decide(mined(sent), before, after, run_id="run", at=NOON + later(2))

    (decided,) = orders.transactions(order.key)
    assert decided == replace(
        sent,
        state=TxState.MINED,
        block=Block(12, "0x12"),
        gas_used=Gas(20_000),
        gas_price=Wei(2),
    )
    assert orders.in_flight() == []
    assert orders.get([order.key]) == [replace(after, version=before.version + 1)]
    entry = orders.history(order.key)[-1]
    assert (entry.after, entry.tx, entry.at) == (Status.FULFILLED, sent.hash, NOON + later(2))


def test_a_revert_is_stored_with_its_error(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    (before,) = orders.get([order.key])
    fault = replace(FAULT, subject=order.key)
    after = before.after(Fact.REVERTED, at=NOON, reason="Transfer failed.")
    outcome = mined(sent, succeeded=False)
    orders.decide(outcome, before, after, run_id="run", at=NOON, fault=fault)

    assert orders.transactions(order.key)[0].state is TxState.REVERTED
    assert [error.fault for error in orders.errors(order.key)] == [fault]
    (again,) = orders.get([order.key])
    assert (again.status, again.attempt) == (Status.PROCESSING, 2)
    (second,) = send(orders, again)
    assert orders.transactions(order.key)[1] == second


def test_a_transaction_is_decided_once(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    (before,) = orders.get([order.key])
    orders.decide(mined(sent), None, None, run_id="run", at=NOON, fault=FAULT)
    assert [error.fault for error in orders.errors(FAULT.subject)] == [FAULT]

    after = before.after(Fact.LOST, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        orders.decide(lost(sent), before, after, run_id="late", at=NOON, fault=FAULT)
    assert orders.get([order.key]) == [before]
    assert orders.transactions(order.key)[0].state is TxState.MINED
    assert len(orders.errors(FAULT.subject)) == 1


def test_a_decision_about_a_changed_order_writes_nothing(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    (before,) = orders.get([order.key])
    failing = before.with_failure("no", failed=False, next_attempt_at=None)
    orders.change(before, failing, run_id="run", at=NOON)
    after = before.after(Fact.MINED, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        orders.decide(mined(sent), before, after, run_id="late", at=NOON)
    assert orders.in_flight() == [sent]


def test_a_lost_transaction_has_no_receipt(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    orders.decide(lost(sent), None, None, run_id="run", at=NOON)
    assert orders.transactions(order.key) == [replace(sent, state=TxState.LOST)]


def claims(orders: Orders, count: int) -> list[Transaction]:
    """Store mined claims, oldest first."""
    sent = []
    with orders.lane(CHAIN, OURS) as lane:
        for order in lane.lock_orders(processing(orders, *range(count))):
            sent.append(a_transaction(order, lane.next_nonce(0), purpose="repay"))
            put(lane, order, sent[-1])
    for row in sent:
        orders.decide(mined(row), None, None, run_id="run", at=NOON)
    return [orders.transactions(row.subject)[0] for row in sent]


def test_claims_without_a_known_refund_are_listed_when_they_are_due(orders: Orders) -> None:
    rows = claims(orders, 4)

    def due(at: datetime, max_rows: int = 9) -> list[Transaction]:
        return orders.unrefunded("zksync", at=at, max_rows=max_rows)

    assert due(NOON) == rows
    assert due(NOON, 3) == rows[:3]
    assert orders.unrefunded("starknet", at=NOON, max_rows=4) == []
    orders.postpone_refunds(
        {rows[0].hash: NOON + later(2), rows[1].hash: NOON, rows[3].hash: NOON + later(2)}
    )
    assert due(NOON) == [rows[2], rows[1]]
    assert due(NOON + later(2)) == [rows[2], rows[1], rows[0], rows[3]]
    orders.refund(rows[2], Wei(5))
    orders.postpone_refunds({rows[2].hash: NOON + later(2)})
    assert due(NOON + later(2), 2) == [rows[1], rows[0]]
    orders.reopen_nonce(rows[3], None, None, run_id="run", at=NOON)
    orders.decide(mined(rows[3]), None, None, run_id="run", at=NOON)
    assert [row.hash for row in due(NOON)] == [rows[3].hash, rows[1].hash]


def test_a_refund_is_written_once_and_unknown_again_after_a_reorg(orders: Orders) -> None:
    (row,) = claims(orders, 1)
    orders.refund(row, Wei(5))
    (refunded,) = orders.transactions(row.subject)
    assert refunded == replace(row, refund=Wei(5))
    assert orders.unrefunded("zksync", at=NOON, max_rows=4) == []
    for again in (row, refunded):
        with pytest.raises(ConcurrentUpdate):
            orders.refund(again, Wei(6))
    orders.reopen_nonce(refunded, None, None, run_id="run", at=NOON)
    (stored,) = orders.transactions(row.subject)
    assert stored.refund is None
    with pytest.raises(ConcurrentUpdate):
        orders.refund(row, Wei(6))
