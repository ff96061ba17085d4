"""Two origins side by side: ids that are the same, and one that is away."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import Cursor, OrderFilter, Scan
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.bridge.harness import BridgeHarness
from tests.ports.origin_memory import OriginMemory

BOTH = ("zksync", "starknet")


@pytest.fixture
def harness() -> BridgeHarness:
    return BridgeHarness(more_origins=("starknet",))


@pytest.fixture
def starknet(harness: BridgeHarness) -> OriginMemory:
    return harness.others["starknet"]


def detect(harness: BridgeHarness) -> list[str]:
    return [key for name in BOTH for key in steps.detect(harness.bridge, name, harness.run)]


def settle(harness: BridgeHarness) -> list[str]:
    return [key for name in BOTH for key in steps.settle(harness.bridge, name, harness.run)]


def test_orders_with_the_same_id_never_mix(harness: BridgeHarness, starknet: OriginMemory) -> None:
    harness.l2.set_orders(3, amount=10**16)
    starknet.set_orders(3, amount=2 * 10**16)
    keys = detect(harness)
    assert sorted(keys) == [f"{name}:{n}" for name in sorted(BOTH) for n in range(3)]
    harness.transfer(keys)
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * 6
    only = ["zksync:1", "starknet:2"]
    harness.repay(only)
    harness.mine()
    harness.l2.deliver()
    starknet.deliver()
    assert sorted(settle(harness)) == sorted(only)
    left = {o.key for o in harness.store.orders.find(OrderFilter(status=Status.FULFILLED))}
    assert left == set(keys) - set(only)


def test_an_origin_that_is_away_keeps_the_other_at_full_pace(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    starknet.set_orders(2)
    old = steps.detect(harness.bridge, "starknet", harness.run)
    starknet.fault = RpcUnavailable("no RPC node of starknet answered")
    with pytest.raises(RpcUnavailable):
        steps.detect(harness.bridge, "starknet", harness.run)
    new = harness.set_and_detect(3)
    assert "starknet:0, starknet:1: RpcUnavailable" in harness.failing(
        lambda: harness.transfer([*old, *new])
    )
    harness.mine()
    assert [harness.order(key).status for key in new] == [Status.FULFILLED] * 3
    assert [harness.order(key).failed for key in old] == [False] * 2
    harness.repay(new)
    harness.mine()
    harness.l2.deliver()
    assert sorted(steps.settle(harness.bridge, "zksync", harness.run)) == new
    steps.backfill(harness.bridge, harness.run)
    assert "starknet: not read" in "".join(harness.logged)
    starknet.fault = None
    harness.transfer(old)
    harness.mine()
    assert [harness.order(key).status for key in old] == [Status.FULFILLED] * 2


def test_everything_is_found_when_the_dead_origin_is_back(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    starknet.show(1)
    assert steps.detect(harness.bridge, "starknet", harness.run) == ["starknet:0"]
    starknet.fault = RpcUnavailable("gone")
    starknet.seal()
    for _ in range(5):  # blocks that nobody saw while they were built
        starknet.show(2)
        starknet.seal()
        starknet.mine(30)
    starknet.show(1)
    starknet.fault = None
    found = steps.detect(harness.bridge, "starknet", harness.run)
    assert found == [f"starknet:{n}" for n in range(1, 12)]


def test_an_order_is_found_before_its_block_is_sealed_and_only_once(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    steps.detect(harness.bridge, "starknet", harness.run)
    before = harness.store.orders.cursor("starknet", Cursor.LATEST)
    starknet.show(1)
    assert steps.detect(harness.bridge, "starknet", harness.run) == ["starknet:0"]
    assert harness.store.orders.cursor("starknet", Cursor.LATEST) == before
    starknet.show(1)
    assert steps.detect(harness.bridge, "starknet", harness.run) == ["starknet:1"]
    sealed = starknet.seal()
    assert steps.detect(harness.bridge, "starknet", harness.run) == []
    assert harness.store.orders.cursor("starknet", Cursor.LATEST) == sealed


def test_an_order_whose_unsealed_block_was_dropped_is_not_paid(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    starknet.show(1)
    (key,) = steps.detect(harness.bridge, "starknet", harness.run)
    starknet.building.clear()
    harness.transfer([key])
    assert not harness.order(key).failed
    assert harness.logged[-1] == f"{key}: waits, no node has block 1 now"
    starknet.mine()
    harness.transfer([key])
    assert (harness.order(key).status, harness.order(key).is_orphaned) == (Status.DROPPED, True)
    assert harness.chain.broadcasts == []
    assert not harness.order(key).is_parked
    starknet.show(1)  # its transaction comes into the next block after all
    starknet.seal()
    assert steps.detect(harness.bridge, "starknet", harness.run) == []
    harness.transfer([key])
    harness.mine()
    assert harness.paid(key) == 1


def test_the_backfill_finds_what_no_sensor_ever_saw(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    starknet.accepted_depth = 0
    starknet.show(2)
    starknet.seal()
    assert steps.backfill(harness.bridge, harness.run) == ["starknet:0", "starknet:1"]


def test_an_order_sealed_since_it_was_found_is_paid_without_a_long_search(
    harness: BridgeHarness, starknet: OriginMemory
) -> None:
    for _ in range(30):
        starknet.set_orders(1)
    steps.detect(harness.bridge, "starknet", harness.run)
    starknet.show(1)
    (key,) = steps.detect(harness.bridge, "starknet", harness.run)
    sealed = starknet.seal()
    scanned: list[int] = []
    looked: list[int] = []
    scan, blocks = starknet.scan, starknet.blocks

    def recorded_scan(first: int, last: int) -> Scan:
        scanned.append(first)
        return scan(first, last)

    def recorded_blocks(numbers: Sequence[int]) -> list[Block | None]:
        looked.extend(numbers)
        return blocks(numbers)

    starknet.scan = recorded_scan
    starknet.blocks = recorded_blocks
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING
    assert harness.order(key).block == sealed
    assert scanned == [sealed.number]
    assert len(looked) <= 2
