"""The operator takes an origin out of MMBOT_ORIGINS while orders of it are under way."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.failures import OrdersFailed
from mmbot_pipelines.bridge.order import Status
from mmbot_pipelines.core.errors import NotServed
from mmbot_pipelines.origin_wiring import Origins
from tests.bridge.reorged import at
from tests.bridge.world import World


def only_starknet(world: World) -> None:
    others = {"starknet": lambda: world.others["starknet"]}
    world.bridge = replace(world.bridge, origins=Origins(others))


@pytest.mark.parametrize("status", [Status.PENDING, Status.FULFILLED, Status.PROVED])
def test_orders_of_an_origin_that_is_not_served_keep_nobody_waiting(status: Status) -> None:
    world = World(more_origins=("starknet",))
    key = at(world, status).key
    world.others["starknet"].set_orders(1)
    (other,) = steps.detect(world.bridge, "starknet", world.run)
    only_starknet(world)
    steps.advance(world.bridge, [key, other], world.run)
    order = world.order(key)
    assert (order.status, order.failed) == (status, False)
    assert world.order(other).status is Status.TRANSFERRING
    if status is not Status.PROVED:
        assert order.reason == NotServed.reason


def test_a_retry_of_one_by_hand_says_what_it_waits_for() -> None:
    world = World(more_origins=("starknet",))
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Transfer failed.")
    with pytest.raises(OrdersFailed):
        world.transfer([key])
    world.chain.allow()
    only_starknet(world)
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).reason == NotServed.reason
    assert "zksync" not in world.bridge.origins


def test_its_stuck_transfer_does_not_hold_the_lane() -> None:
    world = World(more_origins=("starknet",))
    at(world, Status.TRANSFERRING)
    only_starknet(world)
    world.later(3600)
    assert steps.stuck(world.bridge)
    steps.replace_stuck(world.bridge, world.run)
