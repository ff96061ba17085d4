"""How a store follows an L2 that takes blocks back."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Cursor, Filter, Orders, Ripe
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.bridge.orders import NOON, an_order
from tests.ports.writing import FAULT, add, lost, processing, send, step


def told_anew(order: Order) -> Order:
    return replace(
        order.after(Fact.RETOLD, at=NOON, reason="told anew"),
        recipient=Address("0x000000000000000000000000000000000000dEaD"),
        amount=Wei(5),
        fee=Wei(6),
        block=Block(11, "0x11"),
        set_order_tx=TxHash("0x" + "55" * 32),
    )


def test_a_cursor_is_set_back_by_who_has_seen_it(orders: Orders) -> None:
    add(orders, last=10)
    seen = orders.cursor("zksync", Cursor.LATEST)
    assert seen is not None
    with pytest.raises(LostRace):
        orders.rewind("zksync", Cursor.LATEST, Block(10, "0xother"), Block(5, "0x5"))
    with pytest.raises(LostRace):
        orders.rewind("zksync", Cursor.ACCEPTED, seen, Block(5, "0x5"))
    orders.rewind("zksync", Cursor.LATEST, seen, Block(5, "0x5"))
    assert orders.cursor("zksync", Cursor.LATEST) == Block(5, "0x5")
    add(orders, last=6)
    back = orders.cursor("zksync", Cursor.LATEST)
    assert back is not None
    assert back.number == 6
    orders.rewind("zksync", Cursor.LATEST, back, None)
    assert orders.cursor("zksync", Cursor.LATEST) is None
    with pytest.raises(LostRace):
        orders.rewind("zksync", Cursor.LATEST, back, None)


def test_an_unpaid_order_is_told_anew_with_history_and_error(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    order = step(orders, order, Fact.ACCEPTED)
    after = told_anew(order)
    told = orders.retell(order, after, run_id="run", at=NOON, fault=FAULT)
    assert told == replace(after, version=order.version + 1)
    assert orders.find(Filter()) == [told]
    entry = orders.history(order.key)[-1]
    assert (entry.before, entry.after) == (Status.PROCESSING, Status.PENDING)
    assert (entry.tx, entry.reason) == (after.set_order_tx, "told anew")
    assert [e.fault for e in orders.errors(order.key)] == [FAULT]
    assert add(orders, replace(after, status=Status.PENDING)) == []
    assert len(orders.errors(order.key)) == 1


def test_what_changed_since_is_not_told_anew(orders: Orders) -> None:
    order = an_order()
    add(orders, order)
    accepted = step(orders, order, Fact.ACCEPTED)
    with pytest.raises(LostRace):
        orders.retell(order, told_anew(order), run_id="late", at=NOON, fault=FAULT)
    assert orders.get([order.key]) == [accepted]
    assert orders.errors(order.key) == []


def test_what_may_be_paid_is_not_told_anew(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    (sent,) = send(orders, order)
    (transferring,) = orders.get([order.key])
    after = replace(transferring, amount=Wei(5))
    with pytest.raises(ValueError, match="only an unpaid order"):
        orders.retell(transferring, after, run_id="bug", at=NOON, fault=FAULT)
    bug = replace(transferring, status=Status.PROCESSING)
    again = orders.change(transferring, bug, run_id="bug", at=NOON)
    with pytest.raises(LostRace, match=r"may pay, or has paid"):
        orders.retell(again, told_anew(again), run_id="late", at=NOON, fault=FAULT)
    assert orders.get([order.key]) == [again]
    orders.decide(lost(sent), None, None, run_id="run", at=NOON)
    told = orders.retell(again, told_anew(again), run_id="run", at=NOON, fault=FAULT)
    assert (told.status, told.amount, told.transfer_tx) == (Status.PENDING, 5, None)


def test_of_what_is_paid_only_the_fee_is_told_anew(orders: Orders) -> None:
    (order,) = processing(orders, 1)
    send(orders, order)
    (transferring,) = orders.get([order.key])
    dearer = replace(transferring, fee=Wei(77), block=Block(11, "0x11"))
    told = orders.retell(transferring, dearer, run_id="run", at=NOON, fault=FAULT)
    assert (told.status, told.fee, told.block) == (Status.TRANSFERRING, 77, Block(11, "0x11"))
    assert orders.get([order.key]) == [told]
    assert orders.history(order.key)[-1].reason == FAULT.message


def test_only_ripe_orders_are_asked_for(orders: Orders) -> None:
    blocks = {1: 10, 2: 11, 3: 12}
    many = [replace(an_order(n, amount=n * 100), block=Block(b, "0x")) for n, b in blocks.items()]
    add(orders, *many)

    def asked(*ripe: Ripe) -> list[int]:
        statuses = [Status.PENDING]
        found = orders.ask(statuses, "zksync", at=NOON, again_after=0, ripe=ripe)
        return [order.number for order in found]

    small = Ripe(least=Wei(0), limit=Wei(200), newest=None)
    large = Ripe(least=Wei(200), limit=None, newest=11)
    assert asked() == []
    assert asked(small) == [1]
    assert asked(large) == [2]
    assert asked(small, large) == [1, 2]
    assert asked(Ripe(least=Wei(300), limit=Wei(301), newest=12)) == [3]
