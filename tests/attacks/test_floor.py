"""A wallet under its floor: our own spending is no fault, what somebody else took is one."""

from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.devnet.chain import ask
from tests.bridge.guard_steps import state, thresholds, why
from tests.bridge.harness import BridgeHarness
from tests.chain.anvil_bridge import AnvilBridge
from tests.ports.chain_memory import ETH

THIEF = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")


def look(harness: BridgeHarness) -> State:
    harness.later(5)
    steps.guard(harness.bridge, harness.run)
    return state(harness)


def test_claims_that_bring_the_wallet_under_its_floor_halt_nobody(harness: BridgeHarness) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = ETH + 31 * 10**15
    keys = harness.set_and_detect(2)
    assert look(harness) is State.NORMAL
    harness.transfer(keys)
    assert look(harness) is State.NORMAL
    harness.chain.mine()
    assert look(harness) is State.NORMAL  # mined, and nobody has read the receipts
    harness.look()
    harness.chain.base_fee *= 60
    harness.repay(keys)
    harness.mine()
    assert harness.chain.balance() < ETH
    assert look(harness) is State.NORMAL
    assert {harness.order(key).status for key in keys} == {Status.PROVED}


def test_a_refill_and_spending_between_two_looks_are_explained(harness: BridgeHarness) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = ETH + 10**16
    assert look(harness) is State.NORMAL
    harness.chain.endowment += 10**17
    harness.transfer(harness.set_and_detect(3))
    harness.mine()
    assert look(harness) is State.NORMAL


def test_a_thief_under_the_floor_halts_everything_until_a_person_resumes(
    harness: BridgeHarness,
) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = 2 * ETH
    harness.transfer(harness.set_and_detect())
    harness.mine()
    assert look(harness) is State.NORMAL
    harness.chain.elsewhere(Call(to=THIEF, data=b"", value=Wei(19 * 10**17)))
    assert [look(harness), look(harness)] == [State.THROTTLED, State.HALTED]
    assert "left the wallet by no transaction of ours" in why(harness)
    guard.resume(harness.bridge, GLOBAL, by="Ann", reason="it was me")
    assert look(harness) is State.NORMAL
    harness.chain.elsewhere(Call(to=THIEF, data=b"", value=Wei(1)))
    assert [look(harness), look(harness)] == [State.THROTTLED, State.HALTED]


def test_what_was_taken_while_the_bot_was_down_halts_at_the_first_looks(
    harness: BridgeHarness,
) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = 2 * ETH
    assert look(harness) is State.NORMAL
    harness.later(10**6)
    harness.chain.endowment = ETH // 2
    assert [look(harness), look(harness)] == [State.THROTTLED, State.HALTED]


def test_our_newest_transaction_in_another_block_at_a_higher_price_is_no_theft(
    anvil_bridge: AnvilBridge,
) -> None:
    l1 = anvil_bridge.ports.devnet.l1
    anvil_bridge.bridge = _with_floor(
        anvil_bridge, Wei(10**30)
    )  # whatever the wallet has is under it
    guard.guard(anvil_bridge.bridge, anvil_bridge.run)
    keys = anvil_bridge.find(1, fee=10**17)
    anvil_bridge.bridge = _with_floor(anvil_bridge, Wei(0))
    anvil_bridge.transfer(keys)
    anvil_bridge.mine()
    anvil_bridge.bridge = _with_floor(anvil_bridge, Wei(10**30))
    assert _judged(anvil_bridge) is State.NORMAL
    before = anvil_bridge.ports.chain.account()
    (row,) = anvil_bridge.store.outbox.of(keys[0])
    ask(l1, "anvil_reorg", 1, [])
    base_fee = l1.eth.get_block("latest")["baseFeePerGas"]
    ask(l1, "anvil_setNextBlockBaseFeePerGas", hex(base_fee * 3 // 2))
    assert anvil_bridge.ports.chain.broadcast([row.raw]) == [None]
    anvil_bridge.ports.mine()
    after = anvil_bridge.ports.chain.account()
    assert (after.nonce, after.balance < before.balance) == (before.nonce, True)
    assert _judged(anvil_bridge) is State.NORMAL
    anvil_bridge.elsewhere()
    assert _judged(anvil_bridge) is State.HALTED


def test_on_a_chain_spending_is_explained_to_the_wei_and_theft_is_not(
    anvil_bridge: AnvilBridge,
) -> None:
    anvil_bridge.bridge = _with_floor(
        anvil_bridge, Wei(10**30)
    )  # whatever the wallet has is under it
    guard.guard(anvil_bridge.bridge, anvil_bridge.run)
    keys = anvil_bridge.find(2, fee=10**17)
    anvil_bridge.bridge = _with_floor(anvil_bridge, Wei(0))
    anvil_bridge.transfer(keys)
    anvil_bridge.mine()
    anvil_bridge.repay(keys)
    anvil_bridge.mine()
    anvil_bridge.bridge = _with_floor(anvil_bridge, Wei(10**30))
    assert _judged(anvil_bridge) is State.NORMAL
    anvil_bridge.elsewhere()  # one wei and its gas, with the wallet's own key
    assert _judged(anvil_bridge) is State.HALTED


def _judged(anvil_bridge: AnvilBridge) -> State:
    """Return the state after the second reading: the first one alone never halts."""
    for _ in range(2):
        anvil_bridge.now += timedelta(seconds=5)
        guard.guard(anvil_bridge.bridge, anvil_bridge.run)
    return state_of(anvil_bridge.bridge.store.safety.scope_states(), GLOBAL).state


def _with_floor(anvil_bridge: AnvilBridge, floor: Wei) -> steps.Bridge:
    rules = anvil_bridge.bridge.rules
    limits = replace(rules.thresholds, min_balance=floor)
    return replace(anvil_bridge.bridge, rules=replace(rules, thresholds=limits))
