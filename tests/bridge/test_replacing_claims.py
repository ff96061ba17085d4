"""Claims that are stuck: what they are worth, and when they are replaced."""

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.safety import GLOBAL, halt
from tests.bridge.transfers import GWEI, rows, transferring
from tests.bridge.world import World


def test_a_claim_is_worth_what_is_owed_and_carries_its_message(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.mine()
    world.repay([key])
    world.chain.base_fee = 40 * GWEI  # far beyond the margin
    world.replace_stuck()
    _, first, second = rows(world, key)
    assert (second.purpose, second.nonce) == ("repay", first.nonce)
    assert second.call.value > first.call.value  # the message costs more at this price
    world.mine()
    order = world.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVED, second.hash)


def test_a_claim_that_costs_more_than_is_owed_waits(world: World) -> None:
    (key,) = transferring(world, amount=10**12, fee=8 * 10**14)
    world.mine()
    world.repay([key])
    world.chain.base_fee = 400 * GWEI
    world.later(61)
    world.replace_stuck()
    assert len(rows(world, key)) == 2
    assert world.said[-1].endswith("nonce 1 waits, no fee that may be paid helps")
    world.chain.base_fee = GWEI
    world.mine()
    assert world.order(key).status is Status.PROVED


def test_a_stuck_claim_is_replaced_while_halted(world: World) -> None:
    (key,) = transferring(world)
    world.mine()
    world.repay([key])
    halt(world.safety, GLOBAL, by="ann", reason="x", at=world.now)
    world.chain.base_fee = 5 * GWEI
    world.mine()
    world.replace_stuck()
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert rows(world, key)[-1].bump == 1
