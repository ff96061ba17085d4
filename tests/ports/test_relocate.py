"""How a store follows an L2 that takes blocks back."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.confirmations import ConfirmedRange
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore, Cursor, OrderFilter
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    FAULT,
    add,
    change,
    decide,
    lost,
    processing,
    relocate,
    rewind,
    send,
    step,
    take,
)


def reemitted(order: Order) -> Order:
    return replace(
        order.after(Fact.REEMITTED, at=NOON, reason="relocated"),
        recipient=Address("0x000000000000000000000000000000000000dEaD"),
        amount=Wei(5),
        fee=Wei(6),
        block=Block(11, "0x11"),
        set_order_tx=TxHash("0x" + "55" * 32),
    )


def test_a_cursor_is_set_back_by_who_has_seen_it(store: BridgeStore) -> None:
    add(store, last=10)
    seen = store.orders.cursor("zksync", Cursor.LATEST)
    assert seen is not None
    with pytest.raises(ConcurrentUpdate):
        rewind(store, "zksync", Cursor.LATEST, Block(10, "0xother"), Block(5, "0x5"))
    with pytest.raises(ConcurrentUpdate):
        rewind(store, "zksync", Cursor.ACCEPTED, seen, Block(5, "0x5"))
    rewind(store, "zksync", Cursor.LATEST, seen, Block(5, "0x5"))
    assert store.orders.cursor("zksync", Cursor.LATEST) == Block(5, "0x5")
    add(store, last=6)
    back = store.orders.cursor("zksync", Cursor.LATEST)
    assert back is not None
    assert back.number == 6
    rewind(store, "zksync", Cursor.LATEST, back, None)
    assert store.orders.cursor("zksync", Cursor.LATEST) is None
    with pytest.raises(ConcurrentUpdate):
        rewind(store, "zksync", Cursor.LATEST, back, None)


def test_an_unpaid_order_is_relocated_with_history_and_error(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    order = step(store, order, Fact.ACCEPTED)
    after = reemitted(order)
    reported = relocate(store, order, after, run_id="run", at=NOON, fault=FAULT)
    assert reported == replace(after, version=order.version + 1)
    assert store.orders.find(OrderFilter()) == [reported]
    entry = store.orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PROCESSING, Status.PENDING)
    assert (entry.tx, entry.reason) == (after.set_order_tx, "relocated")
    assert [e.fault for e in store.errors.of(order.key)] == [FAULT]
    assert add(store, replace(after, status=Status.PENDING)) == []
    assert len(store.errors.of(order.key)) == 1


def test_an_order_changed_since_is_not_relocated(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    accepted = step(store, order, Fact.ACCEPTED)
    with pytest.raises(ConcurrentUpdate):
        relocate(store, order, reemitted(order), run_id="late", at=NOON, fault=FAULT)
    assert store.orders.get([order.key]) == [accepted]
    assert store.errors.of(order.key) == []


def test_an_order_that_may_be_paid_is_not_relocated(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    (sent,) = send(store, order)
    (transferring,) = store.orders.get([order.key])
    after = replace(transferring, amount=Wei(5))
    with pytest.raises(ValueError, match="only an unpaid order"):
        relocate(store, transferring, after, run_id="bug", at=NOON, fault=FAULT)
    bug = replace(transferring, status=Status.PROCESSING)
    again = change(store, transferring, bug, run_id="bug", at=NOON)
    with pytest.raises(ConcurrentUpdate, match=r"may pay, or has paid"):
        relocate(store, again, reemitted(again), run_id="late", at=NOON, fault=FAULT)
    assert store.orders.get([order.key]) == [again]
    decide(store, lost(sent), None, None, run_id="run", at=NOON)
    reported = relocate(store, again, reemitted(again), run_id="run", at=NOON, fault=FAULT)
    assert (reported.status, reported.amount, reported.transfer_tx) == (Status.PENDING, 5, None)


def test_of_a_paid_order_only_the_fee_is_relocated(store: BridgeStore) -> None:
    (order,) = processing(store, 1)
    send(store, order)
    (transferring,) = store.orders.get([order.key])
    dearer = replace(transferring, fee=Wei(77), block=Block(11, "0x11"))
    reported = relocate(store, transferring, dearer, run_id="run", at=NOON, fault=FAULT)
    assert (reported.status, reported.fee, reported.block) == (
        Status.TRANSFERRING,
        77,
        Block(11, "0x11"),
    )
    assert store.orders.get([order.key]) == [reported]
    assert store.orders.history(order.key)[-1].reason == FAULT.message


def test_only_confirmed_orders_are_taken(store: BridgeStore) -> None:
    blocks = {1: 10, 2: 11, 3: 12}
    many = [replace(an_order(n, amount=n * 100), block=Block(b, "0x")) for n, b in blocks.items()]
    add(store, *many)

    def asked(*confirmed: ConfirmedRange) -> list[int]:
        statuses = [Status.PENDING]
        found = take(
            store, statuses, "zksync", at=NOON, retake_after_seconds=0, confirmed=confirmed
        )
        return [order.number for order in found]

    small = ConfirmedRange(min_amount=Wei(0), below_amount=Wei(200), max_block=None)
    large = ConfirmedRange(min_amount=Wei(200), below_amount=None, max_block=11)
    assert asked() == []
    assert asked(small) == [1]
    assert asked(large) == [2]
    assert asked(small, large) == [1, 2]
    assert asked(ConfirmedRange(min_amount=Wei(300), below_amount=Wei(301), max_block=12)) == [3]
