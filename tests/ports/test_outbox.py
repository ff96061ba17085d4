"""How the outbox keeps what became of transactions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Transaction, TxState, max_total_cost
from tests.bridge.orders import NOON
from tests.ports.store_writes import (
    CHAIN,
    FAULT,
    OURS,
    a_batch,
    a_transaction,
    change,
    decide,
    held,
    later,
    lost,
    mined,
    processing,
    put,
    reopen,
    send,
    set_refund,
)


def test_a_decision_is_stored_with_its_step(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    (before,) = store.orders.get([order.key])
    after = before.after(Fact.MINED, at=NOON)
    decide(store, mined(sent), before, after, run_id="run", at=NOON + later(2))

    (decided,) = store.outbox.of(order.key)
    assert decided == replace(
        sent,
        state=TxState.MINED,
        block=Block(12, "0x12"),
        gas_used=Gas(20_000),
        gas_price=Wei(2),
    )
    assert store.outbox.in_flight() == []
    assert store.orders.get([order.key]) == [replace(after, version=before.version + 1)]
    entry = store.orders.history(order.key)[-1]
    assert (entry.after, entry.tx, entry.at) == (Status.FULFILLED, sent.hash, NOON + later(2))


def test_a_revert_is_stored_with_its_error(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    (before,) = store.orders.get([order.key])
    fault = replace(FAULT, subject=order.key)
    after = before.after(Fact.REVERTED, at=NOON, reason="Transfer failed.")
    outcome = mined(sent, succeeded=False)
    decide(store, outcome, before, after, run_id="run", at=NOON, fault=fault)

    assert store.outbox.of(order.key)[0].state is TxState.REVERTED
    assert [error.fault for error in store.errors.of(order.key)] == [fault]
    (again,) = store.orders.get([order.key])
    assert (again.status, again.attempt) == (Status.PROCESSING, 2)
    (second,) = send(store, again)
    assert store.outbox.of(order.key)[1] == second


def test_a_transaction_is_decided_once(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    (before,) = store.orders.get([order.key])
    decide(store, mined(sent), None, None, run_id="run", at=NOON, fault=FAULT)
    assert [error.fault for error in store.errors.of(FAULT.subject)] == [FAULT]

    after = before.after(Fact.LOST, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        decide(store, lost(sent), before, after, run_id="late", at=NOON, fault=FAULT)
    assert store.orders.get([order.key]) == [before]
    assert store.outbox.of(order.key)[0].state is TxState.MINED
    assert len(store.errors.of(FAULT.subject)) == 1


def test_a_decision_about_a_changed_order_writes_nothing(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    (before,) = store.orders.get([order.key])
    failing = before.with_failure("no", failed=False, next_attempt_at=None)
    change(store, before, failing, run_id="run", at=NOON)
    after = before.after(Fact.MINED, at=NOON)
    with pytest.raises(ConcurrentUpdate):
        decide(store, mined(sent), before, after, run_id="late", at=NOON)
    assert store.outbox.in_flight() == [sent]


def test_a_lost_transaction_has_no_receipt(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    decide(store, lost(sent), None, None, run_id="run", at=NOON)
    assert store.outbox.of(order.key) == [replace(sent, state=TxState.LOST)]


def claims(store: BridgeStore, count: int) -> list[Transaction]:
    """Store mined claims, oldest first."""
    sent = []
    with held(store, CHAIN, OURS) as (uow, lane):
        for order in uow.orders.lock(processing(store, *range(count))):
            sent.append(a_transaction(order, lane.next_nonce(0), purpose="repay"))
            put(uow, lane, order, sent[-1])
    for row in sent:
        decide(store, mined(row), None, None, run_id="run", at=NOON)
    return [store.outbox.of(row.subject)[0] for row in sent]


def test_claims_without_a_known_refund_are_listed_when_they_are_due(store: BridgeStore) -> None:
    rows = claims(store, 4)

    def due(at: datetime, max_rows: int = 9, origin: str = "zksync") -> list[Transaction]:
        return store.outbox.unrefunded(origin, at=at, max_rows=max_rows)

    def postpone(which: dict[TxHash, datetime]) -> None:
        with store.begin() as uow:
            uow.outbox.postpone_refunds(which)

    assert due(NOON) == rows
    assert due(NOON, 3) == rows[:3]
    assert due(NOON, origin="starknet") == []
    postpone({rows[0].hash: NOON + later(2), rows[1].hash: NOON, rows[3].hash: NOON + later(2)})
    assert due(NOON) == [rows[2], rows[1]]
    assert due(NOON + later(2)) == [rows[2], rows[1], rows[0], rows[3]]
    set_refund(store, rows[2], Wei(5))
    postpone({rows[2].hash: NOON + later(2)})
    assert due(NOON + later(2), 2) == [rows[1], rows[0]]
    reopen(store, rows[3], None, None, run_id="run", at=NOON)
    decide(store, mined(rows[3]), None, None, run_id="run", at=NOON)
    assert [row.hash for row in due(NOON)] == [rows[3].hash, rows[1].hash]


def test_a_refund_is_written_once_and_unknown_again_after_a_reorg(store: BridgeStore) -> None:
    (row,) = claims(store, 1)
    set_refund(store, row, Wei(5))
    (refunded,) = store.outbox.of(row.subject)
    assert refunded == replace(row, refund=Wei(5))
    assert store.outbox.unrefunded("zksync", at=NOON, max_rows=4) == []
    for again in (row, refunded):
        with pytest.raises(ConcurrentUpdate):
            set_refund(store, again, Wei(6))
    reopen(store, refunded, None, None, run_id="run", at=NOON)
    (stored,) = store.outbox.of(row.subject)
    assert stored.refund is None
    with pytest.raises(ConcurrentUpdate):
        set_refund(store, row, Wei(6))


def test_a_transaction_of_several_orders_is_found_by_each(store: BridgeStore) -> None:
    orders = processing(store, 3, 1, 2)
    (alone,) = send(store, *processing(store, 4))
    with held(store, CHAIN, OURS) as (_, lane):
        sent = a_batch(orders, lane.next_nonce(0))
        lane.add(sent)
        assert lane.in_flight() == [alone, sent]
    for subject in [sent.subject, *(order.key for order in orders)]:
        assert store.outbox.of(subject) == [sent]
    assert [part.subject for part in sent.parts] == [order.key for order in orders]
    assert [part.value for part in sent.parts] == [0, 1, 2]
    assert store.outbox.of("zksync:4") == [alone]
    assert store.outbox.in_flight() == [alone, sent]
    assert sent.serves("zksync:1", "repay", 1)
    assert not sent.serves("zksync:1", "repay", 2)
    assert not sent.serves("zksync:4", "repay")
    assert alone.serves("zksync:4", "transfer", 1)


def test_a_replacement_may_serve_fewer(store: BridgeStore) -> None:
    orders = processing(store, 1, 2, 3)
    with held(store, CHAIN, OURS) as (_, lane):
        first = a_batch(orders, lane.next_nonce(0))
        lane.add(first)
        tx = TxHash(f"{int(first.hash, 16) ^ 1:#066x}")
        bump = replace(first, bump=1, hash=tx, batch=first.batch[1:])
        lane.add_replacement(bump)
    decide(store, mined(bump), None, None, run_id="run", at=NOON)
    replaced, decided = store.outbox.of("zksync:2")
    assert (replaced.state, decided.state) == (TxState.REPLACED, TxState.MINED)
    assert [len(row.parts) for row in (replaced, decided)] == [3, 2]
    assert store.outbox.of("zksync:1") == [replaced]
    assert [row.batch for row in store.outbox.mined_since(0)] == [bump.batch]


def test_paid_since_counts_the_orders_of_one_transaction(store: BridgeStore) -> None:
    orders = processing(store, 1, 2)
    with held(store, CHAIN, OURS) as (_, lane):
        lane.add(a_batch(orders, lane.next_nonce(0), purpose="transfer"))
    paid = store.orders.paid_since(NOON - later(1))
    assert sum(paid.values()) == sum(order.amount for order in orders)
    assert store.orders.paid_since(NOON) == {}


def a_self_call(orders: Sequence[Order], nonce: int) -> Transaction:
    """Make one transaction in which our own account pays several orders (EIP-7702)."""
    shared = a_batch(orders, nonce, purpose="transfer")
    parts = tuple(replace(part, value=Wei(100 + n)) for n, part in enumerate(shared.batch))
    call = Call(to=shared.wallet, data=b"all of them", value=Wei(0))
    return replace(shared, batch=parts, call=call)


def test_a_self_call_may_take_what_its_parts_pay(store: BridgeStore) -> None:
    orders = processing(store, 1, 2, 3)
    with held(store, CHAIN, OURS) as (_, lane):
        sent = a_self_call(orders, lane.next_nonce(0))
        lane.add(sent)
    (stored,) = store.outbox.in_flight()
    assert (stored.is_self_call, stored.call.value) == (True, 0)
    assert stored.max_cost == 100 + 101 + 102 + sent.gas * sent.fees.ceiling
    assert max_total_cost([stored]) == stored.max_cost


def test_which_parts_failed_is_stored_with_the_decision_and_forgotten_with_it(
    store: BridgeStore,
) -> None:
    orders = processing(store, 1, 2, 3)
    with held(store, CHAIN, OURS) as (_, lane):
        sent = a_self_call(orders, lane.next_nonce(0))
        lane.add(sent)

    def failing(row: Transaction, *bad: int) -> Transaction:
        parts = [replace(part, failed=n in bad) for n, part in enumerate(row.batch)]
        return replace(row, batch=tuple(parts))

    outcome = mined(failing(sent, 1))
    decide(store, outcome, None, None, run_id="run", at=NOON)
    (row,) = store.outbox.of(orders[1].key)
    assert [part.failed for part in row.batch] == [False, True, False]
    assert [row.serves(order.key, "transfer") for order in orders] == [True, False, True]
    paid = [orders[0], orders[2]]
    assert sum(store.orders.paid_since(NOON - later(1)).values()) == sum(o.amount for o in paid)
    reopen(store, row, None, None, run_id="run", at=NOON + later(9))
    (row,) = store.outbox.of(orders[1].key)
    assert (row.state, [part.failed for part in row.batch]) == (TxState.STORED, [False] * 3)
