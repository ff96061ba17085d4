"""Claims of paid orders that would revert: the payment's state on L1 decides."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import SimulationReverted
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import kinds
from tests.bridge.test_l1_reorgs import finish, fulfilled


def paid_elsewhere(harness: BridgeHarness) -> str:
    """Let another program of the wallet pay an order."""
    (key,) = harness.set_and_detect()
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    harness.transfer([key])
    assert harness.order(key).status is Status.FULFILLED
    return key


def try_again(harness: BridgeHarness, times: int) -> None:
    for _ in range(times):
        harness.later(1000)
        for key in steps.retry(harness.bridge, harness.run):
            harness.repay([key])


def test_a_node_that_is_a_block_behind_parks_and_halts_nothing(harness: BridgeHarness) -> None:
    keys = fulfilled(harness, 12)
    blocks, harness.chain.blocks = harness.chain.blocks, harness.chain.blocks[:-1]
    assert "zksync:0: PaymentNotVisible: L1 does not show" in harness.failing(
        lambda: harness.repay(keys)
    )
    harness.chain.blocks = blocks
    steps.guard(harness.bridge, harness.run)
    assert state_of(harness.store.safety.scope_states(), GLOBAL).state is State.NORMAL
    assert not any(harness.order(key).failed for key in keys)
    harness.later(10)
    assert len(steps.take_orders(harness.bridge, [Status.FULFILLED])) == 12
    harness.repay(keys)
    assert set(harness.statuses().values()) == {Status.PROVING}


def test_a_claim_that_the_registry_refuses_is_tried_later_and_then_parked(
    harness: BridgeHarness,
) -> None:
    (key,) = fulfilled(harness)
    harness.chain.refuse(lambda _: True, "Value below the L2 base cost")
    harness.failing(lambda: harness.repay([key]))
    assert (harness.order(key).failed, harness.order(key).is_parked) == (True, False)
    for _ in range(2):
        harness.later(1000)
        harness.failing(lambda: harness.repay(steps.retry(harness.bridge, harness.run)))
    assert harness.order(key).is_parked
    assert kinds(harness, key) == ["ClaimRefused"] * 3
    assert len(harness.chain.broadcasts) == 1


def test_a_payment_that_another_registry_has_is_not_looked_for_without_end(
    harness: BridgeHarness,
) -> None:
    harness.rules(l1_finality_blocks=3)
    (key,) = fulfilled(harness)
    harness.registry.address = Address("0x00000000000000000000000000000000000000Aa")
    harness.chain.contracts[harness.registry.address] = lambda _: "Transfer not found."
    assert "PaymentNotVisible" in harness.failing(lambda: harness.repay([key]))
    harness.chain.mine(4)
    assert "is this the registry" in harness.failing(lambda: harness.repay([key]))
    assert (harness.order(key).status, harness.order(key).failed) == (Status.FULFILLED, True)


def test_another_programs_payment_reorged_out_is_waited_for(harness: BridgeHarness) -> None:
    key = paid_elsewhere(harness)
    (paid,) = harness.chain.executed()
    harness.chain.reorg(1)
    harness.repay([key])
    order = harness.order(key)
    assert (order.status, order.failed, order.is_parked) == (Status.FULFILLED, True, False)
    harness.chain.mine()
    try_again(harness, 1)
    assert (harness.order(key).status, harness.order(key).transfer_tx) == (
        Status.PROVING,
        paid.hash,
    )
    finish(harness)


@pytest.mark.parametrize("claimed", [False, True])
def test_another_programs_payment_reorged_out_for_good_is_paid(
    harness: BridgeHarness, claimed: bool
) -> None:
    harness.rules(max_attempts=30)  # whose waits would take days
    key = paid_elsewhere(harness)
    if claimed:
        harness.repay([key])
        harness.mine()
    harness.chain.reorg(1 + claimed, keep=False)
    harness.chain.mine()
    harness.look()
    if claimed:  # the claim is above a nonce that nobody has any more
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
        assert kinds(harness, key) == ["Reorged", "Reverted"]
    else:
        harness.repay([key])
    try_again(harness, 2)
    order = harness.order(key)
    assert (order.status, order.transfer_tx) == (Status.PROCESSING, None)
    assert kinds(harness, key)[-1] == "Reorged"
    finish(harness)


def test_an_order_that_is_paid_between_two_looks_is_not_parked(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()
    simulate = harness.chain.simulate

    def overtaken(calls, fees):  # type: ignore[no-untyped-def]
        harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
        return simulate(calls, fees)

    with monkeypatch.context() as patch:
        patch.setattr(harness.chain, "simulate", overtaken)
        harness.transfer([key])
    (failure,) = simulate([harness.registry.transfer(harness.order(key))], harness.chain.fees())
    assert isinstance(failure, SimulationReverted)
    assert harness.order(key).status is Status.FULFILLED
    finish(harness)
