"""Parked means parked: one retry is one attempt, and gives all attempts again."""

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.core.errors import Undelivered
from tests.bridge.world import World

UNPAID = [Status.PENDING, Status.PROCESSING]


def park(world: World) -> str:
    """Return an order whose recipient refuses money."""
    (key,) = world.set_and_detect()
    world.registry.rejecting.add(world.order(key).recipient)
    world.failing(lambda: world.transfer([key]))
    assert world.order(key).parked
    return key


def test_a_retry_by_hand_is_one_attempt(world: World) -> None:
    key = park(world)
    others: list[str] = []

    def say(_: str) -> None:
        others.extend(o.key for o in steps.wanted(world.bridge, UNPAID, "zksync"))

    world.failing(lambda: steps.reprocess(world.bridge, [key], Run("person", say)))
    assert others == []
    assert len(world.store.errors(key)) == 2
    assert world.order(key).parked


def test_a_retry_that_dies_is_asked_for_again(world: World) -> None:
    key = park(world)
    order = world.order(key)
    world.store.change(order, order.cleared(), run_id="person", at=world.now, taken=True)
    world.later(51)
    assert [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")] == [key]


def test_a_run_that_begins_late_leaves_a_parked_order_alone(world: World) -> None:
    (key,) = world.set_and_detect()
    asked = [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")]
    world.registry.rejecting.add(world.order(key).recipient)
    world.failing(lambda: steps.advance(world.bridge, [key], world.run))
    world.transfer(asked)
    assert len(world.store.errors(key)) == 1
    assert world.said[-1] == f"{key}: skipped, it failed meanwhile; parked for a person"


def test_a_claim_that_waits_for_its_next_attempt_is_left_alone(world: World) -> None:
    key = proved(world)
    lose_claim(world, key)
    order = world.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, True)
    world.repay([key])
    assert world.order(key) == order
    world.later(3600)
    world.repay([key])
    assert world.order(key).status is Status.PROVING


def test_a_dropped_order_is_left_alone(world: World) -> None:
    (key,) = world.set_and_detect(fee=1)
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED
    world.transfer([key])
    assert world.said[-1].startswith(f"{key}: skipped, it was dropped: ")


def proved(world: World) -> str:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED
    return key


def lose_claim(world: World, key: str) -> None:
    world.l2.known[key] = Progress(lost=Undelivered("used up"))
    world.settle()
    world.l2.known.clear()


def claim_again(world: World) -> None:
    world.later(3600)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    world.mine()


def test_a_retry_gives_all_attempts_again_to_lost_claims(world: World) -> None:
    key = proved(world)
    for lost in (1, 2, 3):
        lose_claim(world, key)
        assert world.order(key).parked == (lost == 3)
        claim_again(world)
    steps.reprocess(world.bridge, [key], world.run)
    world.mine()
    for lost in (1, 2, 3):
        assert world.order(key).status is Status.PROVED
        lose_claim(world, key)
        assert world.order(key).parked == (lost == 3)
        claim_again(world)


def test_a_retry_of_a_claim_under_way_gives_all_attempts_again(world: World) -> None:
    """Nothing is failed at that moment, but two of three attempts are gone."""
    key = proved(world)
    for _ in (1, 2):
        lose_claim(world, key)
        claim_again(world)
    steps.reprocess(world.bridge, [key], world.run)
    for lost in (1, 2, 3):
        lose_claim(world, key)
        assert world.order(key).parked == (lost == 3)
        claim_again(world)
