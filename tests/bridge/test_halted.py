"""What is still sent while the bridge is throttled or halted, and what waits."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import Failure, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.safety import GLOBAL
from tests.bridge.guarding import complete, halt, throttle
from tests.bridge.world import World
from tests.ports.origin_memory import OriginMemory

UNPAID = [Status.PENDING, Status.PROCESSING]
QUARTER = 10**17 // 4


def test_throttled_sends_few_and_small_ones(world: World) -> None:
    large = world.set_and_detect(amount=QUARTER + 1)[0]
    small = world.set_and_detect(3, amount=QUARTER)
    throttle(world)
    assert steps.throttled(world.bridge, "zksync")
    world.transfer([large, *small])
    sent = [k for k, s in world.statuses().items() if s is Status.TRANSFERRING]
    assert sent == [small[0]]
    assert "no more than 0.025 ETH" in (world.order(large).reason or "")
    assert "a run sends no more than 1" in (world.order(small[1]).reason or "")
    world.rules(caps=replace(world.bridge.rules.caps, throttled_transfers=2))
    world.transfer([large, *small])
    assert world.order(large).status is Status.PROCESSING
    assert [world.order(k).status for k in small] == [Status.TRANSFERRING] * 3
    assert not any(world.order(k).failed for k in world.statuses())


def test_while_halted_orders_wait_and_claims_go_on(world: World) -> None:
    paid = complete(world)
    new, accepted = world.set_and_detect(2)
    world.rules(dry_run=True)
    world.transfer([accepted])
    world.rules(dry_run=False)
    halt(world)
    said = len(world.said)
    world.transfer([new, accepted])
    assert world.said[said:] == [
        "transfer: nothing is sent, global is HALTED since 2026-11-20 12:00:01 UTC by Ann: "
        "a look; 2 orders wait"
    ]
    assert world.statuses() == {
        paid: Status.FULFILLED,
        new: Status.PENDING,
        accepted: Status.PROCESSING,
    }
    assert not any(world.order(k).failed for k in (new, accepted))
    assert {world.order(k).reason for k in (new, accepted)} == {"waits: global is HALTED"}
    world.repay([paid])
    world.mine()
    assert world.order(paid).status is Status.PROVED


def test_an_order_paid_elsewhere_is_claimed_while_halted(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.elsewhere(world.registry.transfer(world.order(key)))
    halt(world)
    world.transfer([key])
    assert world.order(key).status is Status.FULFILLED


def test_while_halted_an_order_gets_one_run_and_goes_on_after_the_resumption(world: World) -> None:
    (key,) = world.set_and_detect()
    halt(world, "zksync")

    def asked() -> list[str]:
        return [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")]

    assert asked() == [key]
    world.transfer([key])
    for _ in range(9):
        world.later(1000)
        assert asked() == []
    guard.resume(world.bridge, "zksync", by="Ann", reason="all well")
    assert asked() == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
    assert world.order(key).reason is None


def test_one_origin_halts_alone(world: World) -> None:
    other = OriginMemory(world.registry, "starknet")
    world.bridge = replace(world.bridge, origins={"zksync": world.l2, "starknet": other})
    other.set_orders(1)
    keys = [*steps.detect(world.bridge, "starknet", world.run), *world.set_and_detect()]
    halt(world, "starknet")
    world.transfer(keys)
    assert world.statuses() == {
        "starknet:0": Status.PENDING,
        "zksync:0": Status.TRANSFERRING,
    }


@pytest.mark.parametrize("scope", [GLOBAL, "zksync"])
def test_a_halt_between_decision_and_signing_holds(world: World, scope: str) -> None:
    keys = world.set_and_detect(2)
    check = world.l2.check

    def halting_check(orders: list[Order]) -> list[Failure | None]:
        halt(world, scope)
        return check(orders)

    world.l2.check = halting_check  # type: ignore[method-assign, assignment]
    world.transfer(keys)
    assert [world.order(k).status for k in keys] == [Status.PROCESSING] * 2
    assert [world.order(k).reason for k in keys] == [f"waits: {scope} is HALTED"] * 2
    assert world.store.outbox == []
    assert world.chain.broadcasts == []


def test_what_was_signed_before_a_halt_and_never_sent_is_taken_back(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.transfer([key])
    world.chain.broadcast_fault = None
    halt(world)
    steps.settle_receipts(world.bridge, world.run)
    assert world.chain.broadcasts == []
    world.later(100)
    world.replace_stuck()
    world.mine()
    assert [t.call.value for t in world.chain.executed()] == [0]  # its nonce is used up
    assert (world.order(key).status, world.paid(key)) == (Status.PROCESSING, 0)


@pytest.mark.parametrize("where", ["before", "in the lane"])
def test_nothing_is_sent_when_the_states_cannot_be_read(world: World, where: str) -> None:
    (key,) = world.set_and_detect()

    def away(*_: object) -> object:
        raise StoreUnavailable("database of the test: the states are away")

    world.safety.read_by = away  # type: ignore[method-assign, assignment]
    if where == "before":
        world.safety.standings = away  # type: ignore[method-assign, assignment]
    assert "StoreUnavailable" in world.failing(lambda: world.transfer([key]))
    assert not world.order(key).failed
    assert world.store.outbox == []
    assert world.chain.broadcasts == []
