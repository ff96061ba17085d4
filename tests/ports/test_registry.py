"""What every `bridge.ports.Registry` does."""

from dataclasses import replace

import pytest

from mmbot_pipelines.core.errors import RevertForeseen
from mmbot_pipelines.core.money import UINT256_MAX, Wei
from tests.ports.stages import Stage, pay


def test_order_is_used_once_it_is_paid(stage: Stage) -> None:
    first, second = stage.set_orders(2)
    assert stage.registry.used([first, second]) == [False, False]
    pay(stage, [second])
    assert stage.registry.used([first, second]) == [False, True]


def test_no_orders_have_no_answers(stage: Stage) -> None:
    assert stage.registry.used([]) == []


def test_only_the_very_order_counts_as_used(stage: Stage) -> None:
    order = stage.set_orders(1)[0]
    pay(stage, [order])
    other_id = replace(order, number=order.number + 1)
    other_amount = replace(order, amount=Wei(order.amount + 1))
    other_recipient = replace(order, recipient=stage.chain.wallet)
    elsewhere = "zksync" if order.origin == "starknet" else "starknet"
    other_origin = replace(order, origin=elsewhere)
    others = [other_id, other_amount, other_recipient, other_origin]
    assert stage.registry.used(others) == [False] * 4
    assert [stage.registry.paid_in(o) for o in others] == [None] * 4


def test_payment_is_found_among_others(stage: Stage) -> None:
    orders = stage.set_orders(3)
    hashes = pay(stage, orders[:2])
    assert [stage.registry.paid_in(o) for o in orders] == [*hashes, None]


def test_transfer_carries_the_amount_to_the_registry(stage: Stage) -> None:
    order = stage.set_orders(1)[0]
    assert stage.registry.transfer(order).value == order.amount


@pytest.mark.parametrize("number", [0, UINT256_MAX])
def test_order_ids_are_exact_at_the_edges(stage: Stage, number: int) -> None:
    order = replace(stage.set_orders(1)[0], number=number)
    (tx,) = pay(stage, [order])
    assert stage.registry.used([order]) == [True]
    assert stage.registry.paid_in(order) == tx


def test_paying_twice_is_foreseen(stage: Stage) -> None:
    order = stage.set_orders(1)[0]
    pay(stage, [order])
    (failure,) = stage.chain.simulate([stage.registry.transfer(order)], stage.chain.fees())
    assert isinstance(failure, RevertForeseen)
    assert "Transfer already processed." in str(failure)


def test_reorg_makes_the_order_unused_again(stage: Stage) -> None:
    order = stage.set_orders(1)[0]
    pay(stage, [order])
    stage.reorg_l1(1)
    assert stage.registry.used([order]) == [False]
    assert stage.registry.paid_in(order) is None


def test_reverted_transfer_pays_nothing(stage: Stage) -> None:
    order = stage.set_orders(1, recipient=stage.rejecting)[0]
    pay(stage, [order])
    assert stage.registry.used([order]) == [False]
    assert stage.registry.paid_in(order) is None


def test_registry_takes_its_market_maker_and_no_stranger(stage: Stage) -> None:
    assert stage.registry.takes(stage.chain.wallet)
    assert not stage.registry.takes(stage.rejecting)
