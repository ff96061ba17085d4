"""The operator takes an origin out of MMBOT_ORIGINS while orders of it are under way."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import NotServed, OrdersFailed
from mmbot_pipelines.wiring.origins import Origins
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at


def only_starknet(harness: BridgeHarness) -> None:
    others = {"starknet": lambda: harness.others["starknet"]}
    harness.bridge = replace(harness.bridge, origins=Origins(others))


@pytest.mark.parametrize("status", [Status.PENDING, Status.FULFILLED, Status.PROVED])
def test_orders_of_an_origin_that_is_not_served_keep_nobody_waiting(status: Status) -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    key = at(harness, status).key
    harness.others["starknet"].set_orders(1)
    (other,) = steps.detect(harness.bridge, "starknet", harness.run)
    only_starknet(harness)
    steps.advance(harness.bridge, [key, other], harness.run)
    order = harness.order(key)
    assert (order.status, order.failed) == (status, False)
    assert harness.order(other).status is Status.TRANSFERRING
    if status is not Status.PROVED:
        assert order.reason == NotServed.reason


def test_a_retry_of_one_by_hand_reports_what_it_waits_for() -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Transfer failed.")
    with pytest.raises(OrdersFailed):
        harness.transfer([key])
    harness.chain.allow()
    only_starknet(harness)
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).reason == NotServed.reason
    assert "zksync" not in harness.bridge.origins


def test_its_stuck_transfer_does_not_hold_the_lane() -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    at(harness, Status.TRANSFERRING)
    only_starknet(harness)
    harness.later(3600)
    assert steps.stuck_transactions(harness.bridge)
    steps.replace_stuck(harness.bridge, harness.run)
