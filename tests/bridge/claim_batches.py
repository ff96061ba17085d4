"""A bridge that collects paid orders into one claim, and how its tests speak of it."""

from collections.abc import Sequence

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.core.outbox import Call, Transaction
from tests.bridge.harness import BridgeHarness


def collecting() -> BridgeHarness:
    """Return a bridge whose claims go out together."""
    harness = BridgeHarness()
    harness.rules(batching=Batching(max_orders=8, max_age_seconds=30))
    harness.l2.max_batch = 96
    return harness


def paid(harness: BridgeHarness, count: int, **order: object) -> list[str]:
    """Let users set orders, and the bot pay them."""
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    return keys


def claims(harness: BridgeHarness) -> list[Transaction]:
    return [row for row in harness.transactions() if row.purpose == "repay"]


def due(harness: BridgeHarness) -> list[str]:
    return [o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED], "zksync")]


def statuses(harness: BridgeHarness, keys: Sequence[str]) -> set[Status]:
    return {harness.order(key).status for key in keys}


def finish(harness: BridgeHarness) -> None:
    """Let everything come to its end, and check what it cost."""
    for _ in range(12):
        harness.later(400)
        steps.backfill(harness.bridge, harness.run)
        try:
            steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
        except steps.OrdersFailed as e:
            harness.run.log(str(e))
        harness.repay(due(harness))
        harness.replace_stuck()
        harness.mine()
        harness.l2.deliver()
        harness.l2.mine(12)
        harness.settle()
    assert set(harness.statuses().values()) == {Status.COMPLETED}
    for key in harness.statuses():
        assert harness.paid(key) == 1


def names(call: Call, number: int) -> bool:
    """Return whether a claim, of one order or of several, names an order."""
    return b'"claim' in call.data and f'"zksync", {number}, '.encode() in call.data
