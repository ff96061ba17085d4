"""Claims that go out behind their transfers: what a stranger, a price and a reorg make of them."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.chain.anvil_bridge import AnvilBridge
from tests.chaos.chain_faults import alternating_recipient


@pytest.fixture
def anvil_bridge(anvil_bridge: AnvilBridge) -> AnvilBridge:
    """Return the bridge with claims behind transfers, for it has seen one claim succeed."""
    rules = replace(anvil_bridge.bridge.rules, claim_with_transfer=True)
    anvil_bridge.bridge = replace(anvil_bridge.bridge, rules=rules)
    (key,) = anvil_bridge.find()
    anvil_bridge.transfer([key])
    anvil_bridge.mine()
    anvil_bridge.repay([key])
    anvil_bridge.mine()
    assert anvil_bridge.settle() == [key]
    return anvil_bridge


def pair(anvil_bridge: AnvilBridge, key: str) -> tuple[Transaction, Transaction]:
    rows = anvil_bridge.store.outbox.of(key)
    transfer = next(row for row in reversed(rows) if row.purpose == "transfer")
    claim = next(row for row in reversed(rows) if row.purpose == "repay")
    return transfer, claim


def test_one_block_has_both_and_the_escrow_pays(anvil_bridge: AnvilBridge) -> None:
    keys = anvil_bridge.find(3)
    anvil_bridge.transfer(keys)
    anvil_bridge.mine()
    for key in keys:
        transfer, claim = pair(anvil_bridge, key)
        assert transfer.nonce + 1 == claim.nonce
        assert transfer.block == claim.block
        assert claim.gas_used is not None
        assert claim.gas_used <= claim.gas * 3 // 4  # there is headroom
        assert anvil_bridge.order(key).status is Status.PROVED
    assert sorted(anvil_bridge.settle()) == sorted(keys)


def test_a_recipient_that_changes_its_mind_costs_the_gas_of_two_reverts(
    anvil_bridge: AnvilBridge,
) -> None:
    recipient = Address(alternating_recipient(anvil_bridge.ports.devnet.l1))
    (order,) = anvil_bridge.ports.set_orders(1, recipient=recipient)
    anvil_bridge.detect()
    before = anvil_bridge.balance_of(anvil_bridge.wallet)
    anvil_bridge.transfer([order.key])
    anvil_bridge.mine()
    transfer, claim = pair(anvil_bridge, order.key)
    assert (transfer.state, claim.state) == (TxState.REVERTED, TxState.REVERTED)
    assert claim.gas_used is not None
    assert claim.gas_used < 60_000
    lost = sum((row.gas_used or 0) * (row.gas_price or 0) for row in (transfer, claim))
    assert before - anvil_bridge.balance_of(anvil_bridge.wallet) == lost
    assert anvil_bridge.order(order.key).is_parked
    (other,) = anvil_bridge.find()
    anvil_bridge.transfer([other])  # its claim waits for a simulation
    assert anvil_bridge.ends(other) == [("transfer", TxState.STORED)]
    anvil_bridge.mine()
    anvil_bridge.repay([other])
    anvil_bridge.mine()
    assert anvil_bridge.order(other).status is Status.PROVED


def test_a_price_that_rises_replaces_both_in_the_order_of_their_nonces(
    anvil_bridge: AnvilBridge,
) -> None:
    (key,) = anvil_bridge.find(fee=10**17)
    anvil_bridge.transfer([key])
    anvil_bridge.base_fee(40)
    anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.TRANSFERRING
    anvil_bridge.replace_stuck(61)
    anvil_bridge.mine()
    assert anvil_bridge.ends(key) == [
        ("transfer", TxState.REPLACED),
        ("repay", TxState.REPLACED),
        ("transfer", TxState.MINED),
        ("repay", TxState.MINED),
    ]
    transfer, claim = pair(anvil_bridge, key)
    assert transfer.nonce + 1 == claim.nonce
    assert anvil_bridge.paid(key) == 1
    assert anvil_bridge.order(key).status is Status.PROVED
    assert anvil_bridge.settle() == [key]


def test_a_reorg_takes_both_back_and_both_are_sent_again(anvil_bridge: AnvilBridge) -> None:
    (key,) = anvil_bridge.find()
    anvil_bridge.transfer([key])
    anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.PROVED
    anvil_bridge.ports.reorg_l1(1)
    anvil_bridge.look()
    order = anvil_bridge.order(key)
    assert (order.status, order.claim_tx) == (
        Status.TRANSFERRING,
        pair(anvil_bridge, key)[1].hash,
    )
    anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.PROVED
    assert anvil_bridge.ends(key) == [("transfer", TxState.MINED), ("repay", TxState.MINED)]
    assert anvil_bridge.paid(key) == 1
    assert anvil_bridge.settle() == [key]
