"""An order is paid only with enough blocks of its L2 on top of its own."""

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.policy import Tier
from mmbot_pipelines.core.money import Wei
from tests.bridge.reorged import AMOUNT, at
from tests.bridge.world import World


def asked(world: World) -> list[str]:
    unpaid = [Status.PENDING, Status.PROCESSING]
    return [order.key for order in steps.wanted(world.bridge, unpaid, "zksync")]


def test_an_order_waits_for_blocks_on_top_by_its_size(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(AMOUNT), 2), Tier(Wei(5 * AMOUNT), 4)))
    for amount in (AMOUNT - 1, AMOUNT, 5 * AMOUNT):
        world.set_and_detect(amount=amount)
    keys = ["zksync:0", "zksync:1", "zksync:2"]
    assert asked(world) == keys[:1]
    world.transfer(keys)
    assert [world.order(key).status for key in keys] == [
        Status.TRANSFERRING,
        Status.PENDING,
        Status.PENDING,
    ]
    assert not any(world.order(key).failed for key in keys)
    assert f"{keys[1]}: waits, 1 of 2 blocks are on top of its own" in world.said
    assert world.order(keys[2]).reason == "waits: 4 blocks must stand on top of its own"
    world.l2.mine()
    assert asked(world) == keys[1:2]
    world.l2.mine(3)
    assert asked(world) == keys[2:]
    world.transfer(keys)
    assert set(world.statuses().values()) == {Status.TRANSFERRING}
    assert [world.store.errors(key) for key in keys] == [[], [], []]


def test_a_large_order_waits_until_l1_has_its_block(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), 1), Tier(Wei(5 * AMOUNT), None)))
    for amount in (AMOUNT, 5 * AMOUNT):
        world.set_and_detect(amount=amount)
    small, large = keys = ["zksync:0", "zksync:1"]
    world.l2.mine(world.l2.final_depth - 1)
    assert asked(world) == [small]
    world.transfer(keys)
    assert world.order(small).status is Status.TRANSFERRING
    assert world.order(large).reason == "waits: L1 must accept its block"
    final, block = world.l2.final().number, world.order(large).block.number
    assert final == block - 1
    assert f"{large}: waits, L1 has accepted {final}, not yet its block {block}" in world.said
    assert (world.order(large).failed, world.store.errors(large)) == (False, [])
    world.l2.mine()
    assert asked(world) == [large]
    world.transfer(keys)
    assert world.order(large).status is Status.TRANSFERRING


def test_an_order_of_an_unsealed_block_is_not_final(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), None),))
    world.l2.final_depth = 0
    world.l2.show(1)
    (key,) = world.detect()
    assert asked(world) == []
    world.transfer([key])
    assert world.order(key).status is Status.PENDING
    world.l2.seal()
    world.detect()
    assert asked(world) == [key]


def test_a_moved_order_waits_anew(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), 3),))
    logged = at(world, Status.PENDING)
    world.l2.mine(3)
    world.l2.reorg(4)
    world.l2.put([logged])
    world.transfer([logged.key])
    assert world.order(logged.key).status is not Status.TRANSFERRING
    world.l2.mine(3)
    world.transfer([logged.key])
    assert world.order(logged.key).status is Status.TRANSFERRING


def test_an_order_of_an_unsealed_block_waits_for_its_blocks(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), 1),))
    world.l2.show(1)
    (key,) = world.detect()
    assert asked(world) == []
    world.transfer([key])
    assert world.order(key).status is not Status.TRANSFERRING
    sealed = world.l2.seal()
    world.detect()
    assert world.order(key).block == sealed
    assert asked(world) == []
    world.l2.mine()
    assert asked(world) == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING


def test_without_tiers_an_unsealed_order_is_paid_at_once(world: World) -> None:
    world.l2.show(1)
    (key,) = world.detect()
    assert asked(world) == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
