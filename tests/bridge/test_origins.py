"""Two origins side by side: ids that are the same, and one that is away."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Cursor, Filter, Scan
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.bridge.world import World
from tests.ports.origin_memory import OriginMemory

BOTH = ("zksync", "starknet")


@pytest.fixture
def world() -> World:
    return World(more_origins=("starknet",))


@pytest.fixture
def starknet(world: World) -> OriginMemory:
    return world.others["starknet"]


def detect(world: World) -> list[str]:
    return [key for name in BOTH for key in steps.detect(world.bridge, name, world.run)]


def settle(world: World) -> list[str]:
    return [key for name in BOTH for key in steps.settle(world.bridge, name, world.run)]


def test_orders_with_the_same_id_never_mix(world: World, starknet: OriginMemory) -> None:
    world.l2.set_orders(3, amount=10**16)
    starknet.set_orders(3, amount=2 * 10**16)
    keys = detect(world)
    assert sorted(keys) == [f"{name}:{n}" for name in sorted(BOTH) for n in range(3)]
    world.transfer(keys)
    world.mine()
    assert [world.paid(key) for key in keys] == [1] * 6
    only = ["zksync:1", "starknet:2"]
    world.repay(only)
    world.mine()
    world.l2.deliver()
    starknet.deliver()
    assert sorted(settle(world)) == sorted(only)
    left = {o.key for o in world.store.find(Filter(status=Status.FULFILLED))}
    assert left == set(keys) - set(only)


def test_an_origin_that_is_away_keeps_the_other_at_full_pace(
    world: World, starknet: OriginMemory
) -> None:
    starknet.set_orders(2)
    old = steps.detect(world.bridge, "starknet", world.run)
    starknet.fault = RpcUnavailable("no RPC node of starknet answered")
    with pytest.raises(RpcUnavailable):
        steps.detect(world.bridge, "starknet", world.run)
    new = world.set_and_detect(3)
    assert "starknet:0, starknet:1: RpcUnavailable" in world.failing(
        lambda: world.transfer([*old, *new])
    )
    world.mine()
    assert [world.order(key).status for key in new] == [Status.FULFILLED] * 3
    assert [world.order(key).failed for key in old] == [False] * 2
    world.repay(new)
    world.mine()
    world.l2.deliver()
    assert sorted(steps.settle(world.bridge, "zksync", world.run)) == new
    steps.backfill(world.bridge, world.run)
    assert "starknet: not read" in "".join(world.said)
    starknet.fault = None
    world.transfer(old)
    world.mine()
    assert [world.order(key).status for key in old] == [Status.FULFILLED] * 2


def test_everything_is_found_when_the_dead_origin_is_back(
    world: World, starknet: OriginMemory
) -> None:
    starknet.show(1)
    assert steps.detect(world.bridge, "starknet", world.run) == ["starknet:0"]
    starknet.fault = RpcUnavailable("gone")
    starknet.seal()
    for _ in range(5):  # blocks that nobody saw while they were built
        starknet.show(2)
        starknet.seal()
        starknet.mine(30)
    starknet.show(1)
    starknet.fault = None
    found = steps.detect(world.bridge, "starknet", world.run)
    assert found == [f"starknet:{n}" for n in range(1, 12)]


def test_an_order_is_found_before_its_block_is_sealed_and_only_once(
    world: World, starknet: OriginMemory
) -> None:
    steps.detect(world.bridge, "starknet", world.run)
    before = world.store.cursor("starknet", Cursor.LATEST)
    starknet.show(1)
    assert steps.detect(world.bridge, "starknet", world.run) == ["starknet:0"]
    assert world.store.cursor("starknet", Cursor.LATEST) == before
    starknet.show(1)
    assert steps.detect(world.bridge, "starknet", world.run) == ["starknet:1"]
    sealed = starknet.seal()
    assert steps.detect(world.bridge, "starknet", world.run) == []
    assert world.store.cursor("starknet", Cursor.LATEST) == sealed


def test_an_order_whose_unsealed_block_was_dropped_is_not_paid(
    world: World, starknet: OriginMemory
) -> None:
    starknet.show(1)
    (key,) = steps.detect(world.bridge, "starknet", world.run)
    starknet.building.clear()
    world.transfer([key])
    assert not world.order(key).failed
    assert world.said[-1] == f"{key}: waits, no node has block 1 now"
    starknet.mine()
    world.transfer([key])
    assert (world.order(key).status, world.order(key).taken_back) == (Status.DROPPED, True)
    assert world.chain.broadcasts == []
    assert not world.order(key).parked
    starknet.show(1)  # its transaction comes into the next block after all
    starknet.seal()
    assert steps.detect(world.bridge, "starknet", world.run) == []
    world.transfer([key])
    world.mine()
    assert world.paid(key) == 1


def test_the_backfill_finds_what_no_sensor_ever_saw(world: World, starknet: OriginMemory) -> None:
    starknet.accepted_depth = 0
    starknet.show(2)
    starknet.seal()
    assert steps.backfill(world.bridge, world.run) == ["starknet:0", "starknet:1"]


def test_an_order_sealed_since_it_was_found_is_paid_without_a_long_search(
    world: World, starknet: OriginMemory
) -> None:
    for _ in range(30):
        starknet.set_orders(1)
    steps.detect(world.bridge, "starknet", world.run)
    starknet.show(1)
    (key,) = steps.detect(world.bridge, "starknet", world.run)
    sealed = starknet.seal()
    scanned: list[int] = []
    looked: list[int] = []
    scan, blocks = starknet.scan, starknet.blocks

    def scan_told(first: int, last: int) -> Scan:
        scanned.append(first)
        return scan(first, last)

    def blocks_told(numbers: Sequence[int]) -> list[Block | None]:
        looked.extend(numbers)
        return blocks(numbers)

    starknet.scan = scan_told  # type: ignore[method-assign]
    starknet.blocks = blocks_told  # type: ignore[method-assign]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
    assert world.order(key).block == sealed
    assert scanned == [sealed.number]
    assert len(looked) <= 2
