"""The registry's adapter against the deployed contract, where the port's suite does not reach."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import V1
from mmbot_pipelines.adapters.bridge.starknet.registry import claim
from mmbot_pipelines.core.money import Wei
from tests.ports.port_harness import AnvilPorts, pay, send


@pytest.mark.parametrize(("origin", "chain"), [("starknet", 0), ("zksync", 1)])
def test_contract_stores_the_transfer_under_our_key(
    ports: AnvilPorts, origin: str, chain: int
) -> None:
    order = replace(ports.set_orders(1)[0], origin=origin)
    pay(ports, [order])
    stored = ports.devnet.registry.functions.transfers(V1.key(order)).call()
    assert stored == [int(order.recipient, 16), order.amount, True, chain]


def test_used_by_sixty_orders_at_once(ports: AnvilPorts) -> None:
    orders = ports.set_orders(60)
    pay(ports, orders[::2])
    assert ports.registry.used(orders) == [True, False] * 30
    assert ports.registry.paid_in(orders[-2]) is not None


def test_payment_before_the_start_block_is_not_looked_for(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    pay(ports, [order])
    address = ports.registry.transfer(order).to
    late = PaymentRegistry(ports.l1, address, start_block=ports.chain.head().number + 1)
    assert ports.registry.paid_in(order) is not None
    assert late.paid_in(order) is None
    assert late.used([order]) == [True]


def test_starknet_claim_needs_the_transfer(ports: AnvilPorts) -> None:
    order = replace(ports.set_orders(1)[0], origin="starknet")
    registry = ports.registry
    assert isinstance(registry, PaymentRegistry)
    call = claim(registry.address, V1, order, value=Wei(1))
    (failure,) = ports.chain.simulate([call], ports.chain.fees())
    assert "Transfer not found." in str(failure)
    send(ports, [registry.transfer(order)])
    ports.mine()
    # The devnet's registry has no Starknet core yet: the claim comes past the registry.
    (failure,) = ports.chain.simulate([call], ports.chain.fees())
    assert "Transfer not found." not in str(failure)
