"""Moments of high prices: what they refuse waits, and what is dropped can be taken up again."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.fill import UNPAID
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Address
from tests.bridge.harness import BridgeHarness
from tests.ports.store_writes import change

GWEI = 10**9
ZERO = Address("0x" + "0" * 40)


def spike(harness: BridgeHarness) -> None:
    harness.chain.base_fee = 500 * GWEI


def test_a_spike_of_the_gas_price_drops_nobody(harness: BridgeHarness) -> None:
    spike(harness)
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    assert [(o.status, o.failed) for o in map(harness.order, keys)] == [(Status.PENDING, False)] * 3
    harness.chain.base_fee = GWEI
    harness.later(60)
    harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
    assert [harness.order(key).status for key in keys] == [Status.TRANSFERRING] * 3


def test_what_never_pays_is_dropped_after_its_time(harness: BridgeHarness) -> None:
    harness.rules(wait_for_price_seconds=3600)
    spike(harness)
    (key,) = harness.set_and_detect()
    for _ in range(13):
        assert harness.order(key).status is Status.PENDING
        harness.transfer([key])
        harness.later(300)
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
    assert "MMBOT_WAIT_FOR_PRICE_SECONDS" in (harness.order(key).reason or "")


def test_an_order_that_waited_for_something_else_is_not_dropped_for_a_spike(
    harness: BridgeHarness,
) -> None:
    harness.rules(wait_for_price_seconds=3600)
    (key,) = harness.set_and_detect()
    order = harness.order(key)
    waits = order.with_wait_reason("waiting: MMBOT_MAX_", at=harness.now)
    change(harness.store, order, waits, run_id="run", at=harness.now)
    harness.later(7200)
    spike(harness)
    harness.transfer([key])
    assert harness.order(key).status is Status.PENDING


def test_a_dropped_order_is_taken_up_again_by_a_person(harness: BridgeHarness) -> None:
    limits = harness.bridge.rules.limits
    (key,) = harness.set_and_detect(amount=2 * 10**17)
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).status is Status.DROPPED  # the limit is as it was
    harness.rules(limits=type(limits)(min_transfer=1, max_transfer=10**18, min_margin_bps=0))
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).status is Status.TRANSFERRING
    harness.mine()
    assert harness.paid(key) == 1


def test_a_dropped_order_that_is_orphaned_stays_dropped(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(fee=1)
    harness.transfer([key])
    order = harness.order(key)
    harness.rules(
        limits=type(harness.bridge.rules.limits)(
            min_transfer=1, max_transfer=10**18, min_margin_bps=0
        )
    )
    gone = order.after(Fact.REEMITTED, at=harness.now).after(Fact.ORPHANED, at=harness.now)
    change(harness.store, order, gone, run_id="run", at=harness.now)
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).status is Status.DROPPED
    assert harness.chain.pool == {}


@pytest.mark.parametrize("order", [{"recipient": ZERO}, {"amount": 0}, {"fee": 0}])
def test_what_can_never_be_right_is_final_at_once(
    harness: BridgeHarness, order: dict[str, object]
) -> None:
    (key,) = harness.set_and_detect(**order)
    harness.chain.fault = RpcUnavailable("L1: no node answered")
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
