"""Claims of paid orders that would revert: what L1 says of the payment decides."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import RevertForeseen
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State, of
from tests.bridge.reorged import kinds
from tests.bridge.test_l1_reorgs import finish, fulfilled
from tests.bridge.world import World


def paid_elsewhere(world: World) -> str:
    """Let another program of the wallet pay an order."""
    (key,) = world.set_and_detect()
    world.chain.elsewhere(world.registry.transfer(world.order(key)))
    world.transfer([key])
    assert world.order(key).status is Status.FULFILLED
    return key


def try_again(world: World, times: int) -> None:
    for _ in range(times):
        world.later(1000)
        for key in steps.retry(world.bridge, world.run):
            world.repay([key])


def test_a_node_that_is_a_block_behind_parks_and_halts_nothing(world: World) -> None:
    keys = fulfilled(world, 12)
    blocks, world.chain.blocks = world.chain.blocks, world.chain.blocks[:-1]
    assert "zksync:0: NotShown: L1 does not show" in world.failing(lambda: world.repay(keys))
    world.chain.blocks = blocks
    steps.guard(world.bridge, world.run)
    assert of(world.safety.standings(), GLOBAL).state is State.NORMAL
    assert not any(world.order(key).failed for key in keys)
    world.later(10)
    assert len(steps.wanted(world.bridge, [Status.FULFILLED])) == 12
    world.repay(keys)
    assert set(world.statuses().values()) == {Status.PROVING}


def test_a_claim_that_the_registry_refuses_is_tried_later_and_then_parked(world: World) -> None:
    (key,) = fulfilled(world)
    world.chain.refuse(lambda _: True, "Value below the L2 base cost")
    world.failing(lambda: world.repay([key]))
    assert (world.order(key).failed, world.order(key).parked) == (True, False)
    for _ in range(2):
        world.later(1000)
        world.failing(lambda: world.repay(steps.retry(world.bridge, world.run)))
    assert world.order(key).parked
    assert kinds(world, key) == ["ClaimRefused"] * 3
    assert len(world.chain.broadcasts) == 1


def test_a_payment_that_another_registry_has_is_not_looked_for_without_end(world: World) -> None:
    world.rules(l1_finality_blocks=3)
    (key,) = fulfilled(world)
    world.registry.address = Address("0x00000000000000000000000000000000000000Aa")
    world.chain.contracts[world.registry.address] = lambda _: "Transfer not found."
    assert "NotShown" in world.failing(lambda: world.repay([key]))
    world.chain.mine(4)
    assert "is this the registry" in world.failing(lambda: world.repay([key]))
    assert (world.order(key).status, world.order(key).failed) == (Status.FULFILLED, True)


def test_what_another_program_paid_and_l1_took_back_is_waited_for(world: World) -> None:
    key = paid_elsewhere(world)
    (paid,) = world.chain.executed()
    world.chain.reorg(1)
    world.repay([key])
    order = world.order(key)
    assert (order.status, order.failed, order.parked) == (Status.FULFILLED, True, False)
    world.chain.mine()
    try_again(world, 1)
    assert (world.order(key).status, world.order(key).transfer_tx) == (Status.PROVING, paid.hash)
    finish(world)


@pytest.mark.parametrize("claimed", [False, True])
def test_what_another_program_paid_and_l1_took_back_for_good_is_paid(
    world: World, claimed: bool
) -> None:
    world.rules(max_attempts=30)  # whose waits would take days
    key = paid_elsewhere(world)
    if claimed:
        world.repay([key])
        world.mine()
    world.chain.reorg(1 + claimed, keep=False)
    world.chain.mine()
    world.look()
    if claimed:  # the claim is above a nonce that nobody has any more
        world.later(61)
        world.replace_stuck()
        world.mine()
        assert kinds(world, key) == ["TakenBack", "Reverted"]
    else:
        world.repay([key])
    try_again(world, 2)
    order = world.order(key)
    assert (order.status, order.transfer_tx) == (Status.PROCESSING, None)
    assert kinds(world, key)[-1] == "TakenBack"
    finish(world)


def test_an_order_that_is_paid_between_two_looks_is_not_parked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = world.set_and_detect()
    simulate = world.chain.simulate

    def overtaken(calls, fees):  # type: ignore[no-untyped-def]
        world.chain.elsewhere(world.registry.transfer(world.order(key)))
        return simulate(calls, fees)

    with monkeypatch.context() as patch:
        patch.setattr(world.chain, "simulate", overtaken)
        world.transfer([key])
    (failure,) = simulate([world.registry.transfer(world.order(key))], world.chain.fees())
    assert isinstance(failure, RevertForeseen)
    assert world.order(key).status is Status.FULFILLED
    finish(world)
