"""The registry refuses our wallet for who it is: one halt, and no order suffers for it."""

from datetime import timedelta

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.devnet.artifacts import send
from tests.bridge.guard_steps import state, why
from tests.bridge.harness import BridgeHarness
from tests.chain.anvil_bridge import AnvilBridge

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]
OURS = "waiting: the registry does not take our wallet as its market maker"


def half_an_hour(harness: BridgeHarness) -> None:
    for _ in range(10):
        harness.later(180)
        harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
        harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
        steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
        steps.guard(harness.bridge, harness.run)


def test_a_wallet_that_is_no_market_maker_any_more_is_one_halt_and_no_parked_order(
    harness: BridgeHarness,
) -> None:
    paid = harness.set_and_detect(2)
    harness.transfer(paid)
    harness.mine()
    keys = harness.set_and_detect(12)
    harness.registry.market_maker = STRANGER
    half_an_hour(harness)
    orders = [harness.order(key) for key in (*paid, *keys)]
    assert {(o.failed, o.failures) for o in orders} == {(False, 0)}
    assert all(harness.store.errors.of(o.key) == [] for o in orders)
    assert {harness.order(key).reason for key in paid} == {OURS}
    assert state(harness) is State.HALTED
    assert f"have the owner call setMMAddress({harness.chain.wallet})" in why(harness)
    assert [c.after for c in harness.store.safety.changes(9)] == [State.HALTED]
    harness.registry.market_maker = harness.chain.wallet
    guard.resume(harness.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    harness.transfer(keys)
    harness.repay(paid)
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * 12
    assert {harness.order(key).status for key in paid} == {Status.PROVED}


@pytest.mark.parametrize(
    "words", ["Only Owner or MM can call this function", "custom error 0x118cdaa7"]
)
def test_a_stranger_with_the_same_revert_reason_halts_nothing(
    harness: BridgeHarness, words: str
) -> None:
    victim, other = harness.set_and_detect(2)
    call = harness.registry.transfer(harness.order(victim))
    harness.chain.refuse(lambda c: c == call, words)
    assert "SimulationReverted" in harness.failing(lambda: harness.transfer([victim, other]))
    harness.mine()
    assert (harness.order(victim).is_parked, harness.paid(other)) == (True, 1)
    assert state(harness) is State.NORMAL


def test_the_deployed_words_are_understood(anvil_bridge: AnvilBridge) -> None:
    (paid,) = anvil_bridge.find(1)
    anvil_bridge.transfer([paid])
    anvil_bridge.mine()
    (unpaid,) = anvil_bridge.find(1)
    _set_market_maker(anvil_bridge, STRANGER)
    for _ in range(2):
        anvil_bridge.repay([paid])
        anvil_bridge.now += timedelta(seconds=10)
    assert state_of(anvil_bridge.bridge.store.safety.scope_states(), GLOBAL).state is State.HALTED
    guard.resume(anvil_bridge.bridge, GLOBAL, by="Ann", reason="to see the transfer refused, too")
    for _ in range(2):
        anvil_bridge.transfer([unpaid])
        anvil_bridge.now += timedelta(seconds=10)
    assert state_of(anvil_bridge.bridge.store.safety.scope_states(), GLOBAL).state is State.HALTED
    assert [anvil_bridge.order(key).reason for key in (paid, unpaid)] == [OURS, OURS]
    assert [anvil_bridge.order(key).failed for key in (paid, unpaid)] == [False, False]
    _set_market_maker(anvil_bridge, anvil_bridge.wallet)
    guard.resume(anvil_bridge.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    anvil_bridge.repay([paid])
    anvil_bridge.transfer([unpaid])
    anvil_bridge.mine()
    assert [str(anvil_bridge.order(key).status) for key in (paid, unpaid)] == [
        "PROVED",
        "FULFILLED",
    ]


def _set_market_maker(anvil_bridge: AnvilBridge, wallet: Address) -> None:
    devnet = anvil_bridge.ports.devnet
    send(devnet.registry.functions.setMMAddress(wallet), sender=devnet.deployment.l1.owner)
    anvil_bridge.ports.mine()
