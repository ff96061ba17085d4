"""Parked means parked: one retry is one attempt, and gives all attempts again."""

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import Undelivered
from tests.bridge.harness import BridgeHarness
from tests.ports.store_writes import change

UNPAID = [Status.PENDING, Status.PROCESSING]


def park(harness: BridgeHarness) -> str:
    """Return an order whose recipient refuses money."""
    (key,) = harness.set_and_detect()
    harness.registry.rejecting.add(harness.order(key).recipient)
    harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).is_parked
    return key


def test_a_retry_by_hand_is_one_attempt(harness: BridgeHarness) -> None:
    key = park(harness)
    others: list[str] = []

    def log(_: str) -> None:
        others.extend(o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync"))

    harness.failing(lambda: steps.reprocess(harness.bridge, [key], Run("person", log)))
    assert others == []
    assert len(harness.store.errors.of(key)) == 2
    assert harness.order(key).is_parked


def test_a_retry_that_dies_is_asked_for_again(harness: BridgeHarness) -> None:
    key = park(harness)
    order = harness.order(key)
    change(
        harness.store,
        order,
        order.with_failures_cleared(),
        run_id="person",
        at=harness.now,
        taken=True,
    )
    harness.later(51)
    assert [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")] == [key]


def test_a_run_that_begins_late_leaves_a_parked_order_alone(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    asked = [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")]
    harness.registry.rejecting.add(harness.order(key).recipient)
    harness.failing(lambda: steps.advance(harness.bridge, [key], harness.run))
    harness.transfer(asked)
    assert len(harness.store.errors.of(key)) == 1
    assert harness.logged[-1] == f"{key}: skipped, it failed meanwhile; parked for a person"


def test_a_claim_that_waits_for_its_next_attempt_is_left_alone(harness: BridgeHarness) -> None:
    key = proved(harness)
    lose_claim(harness, key)
    order = harness.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, True)
    harness.repay([key])
    assert harness.order(key) == order
    harness.later(3600)
    harness.repay([key])
    assert harness.order(key).status is Status.PROVING


def test_a_dropped_order_is_left_alone(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(fee=1)
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
    harness.transfer([key])
    assert harness.logged[-1].startswith(f"{key}: skipped, it was dropped: ")


def proved(harness: BridgeHarness) -> str:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    return key


def lose_claim(harness: BridgeHarness, key: str) -> None:
    harness.l2.known[key] = Progress(lost=Undelivered("used up"))
    harness.settle()
    harness.l2.known.clear()


def claim_again(harness: BridgeHarness) -> None:
    harness.later(3600)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    harness.mine()


def test_a_retry_gives_all_attempts_again_to_lost_claims(harness: BridgeHarness) -> None:
    key = proved(harness)
    for lost in (1, 2, 3):
        lose_claim(harness, key)
        assert harness.order(key).is_parked == (lost == 3)
        claim_again(harness)
    steps.reprocess(harness.bridge, [key], harness.run)
    harness.mine()
    for lost in (1, 2, 3):
        assert harness.order(key).status is Status.PROVED
        lose_claim(harness, key)
        assert harness.order(key).is_parked == (lost == 3)
        claim_again(harness)


def test_a_retry_of_a_claim_under_way_gives_all_attempts_again(harness: BridgeHarness) -> None:
    """Nothing is failed at that moment, but two of three attempts are gone."""
    key = proved(harness)
    for _ in (1, 2):
        lose_claim(harness, key)
        claim_again(harness)
    steps.reprocess(harness.bridge, [key], harness.run)
    for lost in (1, 2, 3):
        lose_claim(harness, key)
        assert harness.order(key).is_parked == (lost == 3)
        claim_again(harness)
