"""The way of orders that meet no fault but the policy."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.core.money import Wei
from tests.bridge.harness import BridgeHarness


def test_an_order_goes_all_the_way(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert steps.settle(harness.bridge, "zksync", harness.run) == []
    harness.l2.deliver()
    assert steps.settle(harness.bridge, "zksync", harness.run) == [key]
    history = [entry.after for entry in harness.store.orders.history(key)]
    assert history == [s for s in Status if s is not Status.DROPPED]
    order = harness.order(key)
    executed = [t.hash for t in harness.chain.executed()]
    assert [order.transfer_tx, order.claim_tx] == executed
    assert order.settle_tx is not None
    assert harness.store.errors.of(key) == []


def test_a_burst_is_in_flight_together(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(30)
    harness.transfer(keys)
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    harness.repay(keys)
    harness.mine()
    assert set(harness.statuses().values()) == {Status.PROVED}
    assert [t.nonce for t in harness.chain.executed()] == list(range(60))


def test_asking_twice_changes_nothing(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3)
    for _ in range(2):
        harness.transfer(keys)
    harness.mine()
    for _ in range(2):
        harness.repay(keys)
    harness.mine()
    assert len(harness.chain.executed()) == 6
    assert steps.detect(harness.bridge, "zksync", harness.run) == []


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"fee": 1}, "is below the margin"),
        ({"amount": 2 * 10**17}, "above the maximum we transfer"),
    ],
)
def test_an_order_that_does_not_pay_is_dropped(
    harness: BridgeHarness, order: dict[str, int], why: str
) -> None:
    (key,) = harness.set_and_detect(**order)
    harness.transfer([key])
    dropped = harness.order(key)
    assert dropped.status is Status.DROPPED
    assert why in (dropped.reason or "")
    assert harness.chain.pool == {}


def test_prices_are_read_again_before_the_decision(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(fee=10**15)
    used = harness.registry.used

    def slow_answer(orders: Sequence[Order]) -> list[bool]:
        harness.chain.base_fee *= 1000
        return used(orders)

    harness.registry.used = slow_answer
    harness.transfer([key])
    assert harness.order(key).status is Status.PENDING
    assert (harness.order(key).reason or "").startswith("waiting: its fee does not cover the cost")
    assert harness.chain.pool == {}


def test_a_paid_order_is_claimed_whatever_the_limits_become(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.rules(limits=Limits(min_transfer=Wei(1), max_transfer=Wei(1), min_margin_bps=10_000))
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED


def test_a_dry_run_decides_and_sends_nothing(harness: BridgeHarness) -> None:
    harness.rules(dry_run=True)
    good, poor = harness.set_and_detect()[0], harness.set_and_detect(fee=1)[0]
    asked = steps.take_orders(harness.bridge, [Status.PENDING, Status.PROCESSING])
    harness.transfer([o.key for o in asked])
    assert harness.statuses() == {good: Status.PROCESSING, poor: Status.DROPPED}
    harness.later(60)
    assert steps.take_orders(harness.bridge, [Status.PENDING, Status.PROCESSING]) == []
    assert harness.chain.broadcasts == []


def test_a_dry_run_simulates_each_transaction_and_stores_none(harness: BridgeHarness) -> None:
    """Also what was sent before it is neither sent again, nor replaced, nor claimed."""
    (before,) = harness.set_and_detect()
    harness.transfer([before])
    harness.chain.mine()
    stored = harness.transactions()
    harness.rules(dry_run=True)
    harness.look()
    assert harness.order(before).status is Status.FULFILLED
    sent, simulated = list(harness.chain.broadcasts), []
    simulate = harness.chain.simulate
    harness.chain.simulate = lambda calls, *rest: simulated.extend(calls) or simulate(calls, *rest)
    (key,) = harness.set_and_detect()
    steps.advance(harness.bridge, [before, key], harness.run)
    assert simulated == [
        harness.registry.transfer(harness.order(key)),
        *harness.l2.claims([harness.order(before)], harness.chain.fees()),
    ]
    steps.reprocess(harness.bridge, [before, key], harness.run)
    harness.chain.pool.clear()
    harness.later(3600)
    harness.look()
    harness.replace_stuck()
    assert harness.chain.broadcasts == sent
    assert [t.hash for t in harness.transactions()] == [t.hash for t in stored]
    assert harness.statuses() == {before: Status.FULFILLED, key: Status.PROCESSING}
    lines = [line for line in harness.logged if "dry run, not sent" in line]
    assert lines[0].startswith(f"{key}: dry run, not sent: transfer to ")
    assert lines[1].startswith(f"{before}: dry run, not sent: repay to ")
    harness.rules(dry_run=False)
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING


def test_a_dry_run_sends_no_transaction_again_that_was_stored_before(
    harness: BridgeHarness,
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    (row,) = harness.transactions()
    sent = list(harness.chain.broadcasts)
    harness.chain.drop(row.hash)
    harness.rules(dry_run=True)
    harness.later(3600)
    harness.look()
    harness.replace_stuck()
    assert harness.chain.broadcasts == sent
    harness.rules(dry_run=False)
    harness.later(3600)
    harness.look()
    assert len(harness.chain.broadcasts) > len(sent)
