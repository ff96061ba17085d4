"""Moments of high prices: what they refuse waits, and what is dropped can be taken up again."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.fill import UNPAID
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Address
from tests.bridge.world import World

GWEI = 10**9
ZERO = Address("0x" + "0" * 40)


def spike(world: World) -> None:
    world.chain.base_fee = 500 * GWEI


def test_a_spike_of_the_gas_price_drops_nobody(world: World) -> None:
    spike(world)
    keys = world.set_and_detect(3)
    world.transfer(keys)
    assert [(o.status, o.failed) for o in map(world.order, keys)] == [(Status.PENDING, False)] * 3
    world.chain.base_fee = GWEI
    world.later(60)
    world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])
    assert [world.order(key).status for key in keys] == [Status.TRANSFERRING] * 3


def test_what_never_pays_is_dropped_after_its_time(world: World) -> None:
    world.rules(wait_for_price_seconds=3600)
    spike(world)
    (key,) = world.set_and_detect()
    for _ in range(13):
        assert world.order(key).status is Status.PENDING
        world.transfer([key])
        world.later(300)
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED
    assert "MMBOT_WAIT_FOR_PRICE_SECONDS" in (world.order(key).reason or "")


def test_an_order_that_waited_for_something_else_is_not_dropped_for_a_spike(world: World) -> None:
    world.rules(wait_for_price_seconds=3600)
    (key,) = world.set_and_detect()
    order = world.order(key)
    waits = order.waiting("waits: no room", at=world.now)
    world.store.change(order, waits, run_id="run", at=world.now)
    world.later(7200)
    spike(world)
    world.transfer([key])
    assert world.order(key).status is Status.PENDING


def test_a_dropped_order_is_taken_up_again_by_a_person(world: World) -> None:
    limits = world.bridge.rules.limits
    (key,) = world.set_and_detect(amount=2 * 10**17)
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).status is Status.DROPPED  # the limit is as it was
    world.rules(limits=type(limits)(min_transfer=1, max_transfer=10**18, min_margin_bps=0))  # type: ignore[arg-type]
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).status is Status.TRANSFERRING
    world.mine()
    assert world.paid(key) == 1


def test_a_dropped_order_that_its_l2_took_back_stays_dropped(world: World) -> None:
    (key,) = world.set_and_detect(fee=1)
    world.transfer([key])
    order = world.order(key)
    world.rules(
        limits=type(world.bridge.rules.limits)(
            min_transfer=1, max_transfer=10**18, min_margin_bps=0
        )
    )  # type: ignore[arg-type]
    gone = order.after(steps.Fact.RETOLD, at=world.now).after(steps.Fact.VANISHED, at=world.now)
    world.store.change(order, gone, run_id="run", at=world.now)
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).status is Status.DROPPED
    assert world.chain.pool == {}


@pytest.mark.parametrize("order", [{"recipient": ZERO}, {"amount": 0}, {"fee": 0}])
def test_what_can_never_be_right_is_final_at_once(world: World, order: dict[str, object]) -> None:
    (key,) = world.set_and_detect(**order)
    world.chain.fault = RpcUnavailable("L1: no node answered")
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED
