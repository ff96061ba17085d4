"""The way of orders that meet no fault but the policy."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.core.money import Wei
from tests.bridge.world import World


def test_an_order_goes_all_the_way(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert steps.settle(world.bridge, "zksync", world.run) == []
    world.l2.deliver()
    assert steps.settle(world.bridge, "zksync", world.run) == [key]
    history = [entry.after for entry in world.store.history(key)]
    assert history == [s for s in Status if s is not Status.DROPPED]
    order = world.order(key)
    executed = [t.hash for t in world.chain.executed()]
    assert [order.transfer_tx, order.claim_tx] == executed
    assert order.settle_tx is not None
    assert world.store.errors(key) == []


def test_a_burst_is_in_flight_together(world: World) -> None:
    keys = world.set_and_detect(30)
    world.transfer(keys)
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    world.repay(keys)
    world.mine()
    assert set(world.statuses().values()) == {Status.PROVED}
    assert [t.nonce for t in world.chain.executed()] == list(range(60))


def test_asking_twice_changes_nothing(world: World) -> None:
    keys = world.set_and_detect(3)
    for _ in range(2):
        world.transfer(keys)
    world.mine()
    for _ in range(2):
        world.repay(keys)
    world.mine()
    assert len(world.chain.executed()) == 6
    assert steps.detect(world.bridge, "zksync", world.run) == []


@pytest.mark.parametrize(
    ("order", "why"),
    [({"fee": 1}, "is below the margin"), ({"amount": 2 * 10**17}, "above the most we transfer")],
)
def test_an_order_that_does_not_pay_is_dropped(
    world: World, order: dict[str, int], why: str
) -> None:
    (key,) = world.set_and_detect(**order)
    world.transfer([key])
    dropped = world.order(key)
    assert dropped.status is Status.DROPPED
    assert why in (dropped.reason or "")
    assert world.chain.pool == {}


def test_prices_are_looked_at_again_before_signing(world: World) -> None:
    (key,) = world.set_and_detect(fee=10**15)
    check = world.l2.check

    def slow_check(orders: list[Order]) -> list[object]:
        world.chain.base_fee *= 1000
        return check(orders)

    world.l2.check = slow_check  # type: ignore[method-assign, assignment]
    world.transfer([key])
    assert world.order(key).status is Status.PROCESSING
    assert (world.order(key).reason or "").startswith("waiting: its fee does not cover the cost")
    assert world.chain.pool == {}


def test_a_paid_order_is_claimed_whatever_the_limits_say_later(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.rules(limits=Limits(min_transfer=Wei(1), max_transfer=Wei(1), min_margin_bps=10_000))
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED


def test_a_dry_run_decides_and_sends_nothing(world: World) -> None:
    world.rules(dry_run=True)
    good, poor = world.set_and_detect()[0], world.set_and_detect(fee=1)[0]
    asked = steps.wanted(world.bridge, [Status.PENDING, Status.PROCESSING])
    world.transfer([o.key for o in asked])
    assert world.statuses() == {good: Status.PROCESSING, poor: Status.DROPPED}
    world.later(60)
    assert steps.wanted(world.bridge, [Status.PENDING, Status.PROCESSING]) == []
    assert world.chain.broadcasts == []
