"""What every `bridge.ports.Registry` does."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.ports.chains import Payment
from mmbot_pipelines.core.errors import SimulationReverted
from mmbot_pipelines.core.money import UINT256_MAX, Wei
from tests.ports.port_harness import PortHarness, pay


def test_order_is_used_once_it_is_paid(ports: PortHarness) -> None:
    first, second = ports.set_orders(2)
    assert ports.registry.used([first, second]) == [False, False]
    pay(ports, [second])
    assert ports.registry.used([first, second]) == [False, True]


def test_no_orders_have_no_answers(ports: PortHarness) -> None:
    assert ports.registry.used([]) == []


def test_only_the_very_order_counts_as_used(ports: PortHarness) -> None:
    order = ports.set_orders(1)[0]
    pay(ports, [order])
    other_id = replace(order, number=order.number + 1)
    other_amount = replace(order, amount=Wei(order.amount + 1))
    other_recipient = replace(order, recipient=ports.chain.wallet)
    elsewhere = "zksync" if order.origin == "starknet" else "starknet"
    other_origin = replace(order, origin=elsewhere)
    others = [other_id, other_amount, other_recipient, other_origin]
    assert ports.registry.used(others) == [False] * 4
    assert [ports.registry.paid_in(o) for o in others] == [None] * 4


def test_payment_is_found_among_others(ports: PortHarness) -> None:
    orders = ports.set_orders(3)
    hashes = pay(ports, orders[:2])
    assert [ports.registry.paid_in(o) for o in orders] == [*hashes, None]


def test_transfer_carries_the_amount_to_the_registry(ports: PortHarness) -> None:
    order = ports.set_orders(1)[0]
    assert ports.registry.transfer(order).value == order.amount


@pytest.mark.parametrize("number", [0, UINT256_MAX])
def test_order_ids_are_exact_at_the_edges(ports: PortHarness, number: int) -> None:
    order = replace(ports.set_orders(1)[0], number=number)
    (tx,) = pay(ports, [order])
    assert ports.registry.used([order]) == [True]
    assert ports.registry.paid_in(order) == tx


def test_paying_twice_is_foreseen(ports: PortHarness) -> None:
    order = ports.set_orders(1)[0]
    pay(ports, [order])
    (failure,) = ports.chain.simulate([ports.registry.transfer(order)], ports.chain.fees())
    assert isinstance(failure, SimulationReverted)
    assert "Transfer already processed." in str(failure)


def test_reorg_makes_the_order_unused_again(ports: PortHarness) -> None:
    order = ports.set_orders(1)[0]
    pay(ports, [order])
    ports.reorg_l1(1)
    assert ports.registry.used([order]) == [False]
    assert ports.registry.paid_in(order) is None


def test_reverted_transfer_pays_nothing(ports: PortHarness) -> None:
    order = ports.set_orders(1, recipient=ports.rejecting)[0]
    pay(ports, [order])
    assert ports.registry.used([order]) == [False]
    assert ports.registry.paid_in(order) is None


def test_registry_takes_its_market_maker_and_no_stranger(ports: PortHarness) -> None:
    wallets = [ports.rejecting, ports.chain.wallet]
    assert ports.registry.accepts(wallets) == [False, True]


def test_the_events_of_one_transaction_tell_whom_it_paid(ports: PortHarness) -> None:
    paid, unpaid = ports.set_orders(2)
    (tx,) = pay(ports, [paid])
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    other = replace(paid, amount=Wei(paid.amount + 1))
    elsewhere = replace(paid, origin="zksync" if paid.origin == "starknet" else "starknet")
    answers = ports.registry.payments(receipt.events, [paid, unpaid, other, elsewhere])
    assert answers == [Payment.ORDER, Payment.NONE, Payment.OTHER, Payment.NONE]
    assert ports.registry.payments((), [paid]) == [Payment.NONE]
