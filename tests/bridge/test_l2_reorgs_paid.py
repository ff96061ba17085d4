"""The L2 takes blocks back while an order is paid, and afterwards."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import AMOUNT, FEE, all_at, at, kinds
from tests.ports.store_writes import change

# while it is paid


def test_a_transfer_of_an_orphaned_order_is_cancelled_at_once(harness: BridgeHarness) -> None:
    key = at(harness, Status.TRANSFERRING).key
    harness.l2.reorg(1)
    harness.detect()
    order = harness.order(key)
    assert (order.status, order.is_parked, order.is_orphaned) == (Status.TRANSFERRING, True, True)
    assert kinds(harness, key) == ["OrderOrphaned"]
    harness.replace_stuck()
    harness.mine()
    assert [(t.purpose, t.state) for t in harness.store.outbox.of(key)] == [
        ("transfer", TxState.REPLACED),
        ("cancel", TxState.MINED),
    ]
    assert harness.paid(key) == 0
    harness.later(1000)
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
    assert harness.chain.pool == {}


def test_an_order_cancelled_for_its_block_is_paid_when_it_comes_back(
    harness: BridgeHarness,
) -> None:
    logged = at(harness, Status.TRANSFERRING)
    harness.l2.reorg(1)
    harness.detect()
    harness.replace_stuck()
    harness.mine()
    harness.l2.put([logged])
    harness.detect()
    harness.later(1000)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    steps.advance(harness.bridge, [logged.key], harness.run)
    harness.mine()
    assert harness.paid(logged.key) == 1


def test_a_number_reused_while_it_is_paid_is_paid_once_as_the_second(
    harness: BridgeHarness,
) -> None:
    first = at(harness, Status.TRANSFERRING)
    harness.l2.reorg(1)
    (second,) = harness.l2.set_orders(1, amount=3 * AMOUNT)
    harness.detect()
    harness.replace_stuck()
    harness.mine()
    harness.later(1000)
    for _ in range(3):
        steps.advance(harness.bridge, [first.key], harness.run)
        harness.mine()
    order = harness.order(first.key)
    assert (order.amount, order.status) == (second.amount, Status.PROVED)
    values = [
        t.call.value for t in harness.chain.executed() if json_kind(t.call.data) == "transfer"
    ]
    assert values == [second.amount]


def json_kind(data: bytes) -> str:
    return data.decode()[2:10] if data else ""


def test_an_order_that_comes_back_in_time_is_not_cancelled(harness: BridgeHarness) -> None:
    logged = at(harness, Status.TRANSFERRING)
    harness.l2.reorg(1)
    harness.detect()
    harness.l2.put([logged])
    harness.detect()
    assert not harness.order(logged.key).failed
    assert steps.stuck_transactions(harness.bridge) == []
    harness.mine()
    assert harness.order(logged.key).status is Status.FULFILLED


# after payment


@pytest.mark.parametrize("status", [Status.FULFILLED, Status.PROVING, Status.PROVED])
def test_a_payment_for_an_orphaned_order_is_reported(
    harness: BridgeHarness, status: Status
) -> None:
    key = at(harness, status).key
    harness.l2.reorg(1)
    harness.detect()
    order = harness.order(key)
    assert (order.status, order.is_parked) == (status, True)
    (error,) = harness.store.errors.of(key)
    assert error.fault.kind == "ReorgAfterPayment"
    assert format_ether(AMOUNT) in error.fault.message
    assert format_ether(AMOUNT + FEE) in error.fault.message
    harness.detect()
    steps.backfill(harness.bridge, harness.run)
    assert len(harness.store.errors.of(key)) == 1


def test_nothing_is_claimed_for_an_orphaned_order(harness: BridgeHarness) -> None:
    key = at(harness, Status.FULFILLED).key
    harness.l2.reorg(1)
    harness.repay([key])  # before any sensor has seen the reorg
    assert kinds(harness, key) == ["ReorgAfterPayment"]
    assert harness.chain.pool == {}


def test_the_claim_goes_on_when_the_order_comes_back(harness: BridgeHarness) -> None:
    logged = at(harness, Status.FULFILLED)
    harness.l2.reorg(1)
    harness.detect()
    assert steps.take_orders(harness.bridge, [Status.FULFILLED]) == []
    harness.l2.put([logged])
    harness.detect()
    (order,) = steps.take_orders(harness.bridge, [Status.FULFILLED])
    harness.repay([order.key])
    harness.mine()
    harness.l2.deliver()
    assert harness.settle() == [logged.key]
    assert harness.paid(logged.key) == 1


def test_a_number_reused_after_payment_is_reported_and_not_paid_again(
    harness: BridgeHarness,
) -> None:
    first = at(harness, Status.FULFILLED)
    harness.l2.reorg(1)
    harness.l2.set_orders(1, amount=3 * AMOUNT)
    harness.detect()
    order = harness.order(first.key)
    assert (order.amount, order.is_parked) == (first.amount, True)
    assert kinds(harness, first.key)[0] == "ReorgAfterPayment"
    steps.reprocess(harness.bridge, [first.key], harness.run)
    assert len(harness.chain.executed()) == 1
    assert harness.chain.pool == {}


def test_what_was_paid_for_another_fee_is_claimed_with_it(harness: BridgeHarness) -> None:
    first = at(harness, Status.FULFILLED)
    harness.l2.reorg(1)
    harness.l2.set_orders(1, fee=FEE + 5)
    harness.detect()
    order = harness.order(first.key)
    assert (order.fee, order.failed, order.status) == (FEE + 5, False, Status.FULFILLED)
    harness.repay([first.key])
    harness.mine()
    harness.l2.deliver()
    assert harness.settle() == [first.key]
    assert harness.paid(first.key) == 1


def test_two_orders_that_swap_their_numbers_are_both_repaid(harness: BridgeHarness) -> None:
    harness.l2.set_orders(1, fee=FEE)
    harness.l2.set_orders(1, fee=2 * FEE)
    keys = harness.detect()
    harness.transfer(keys)
    harness.mine()
    harness.l2.reorg(2)
    harness.l2.set_orders(1, fee=2 * FEE)
    harness.l2.set_orders(1, fee=FEE)
    harness.detect()
    harness.repay(keys)
    harness.mine()
    harness.l2.deliver()
    assert harness.settle() == keys
    assert [harness.order(key).fee for key in keys] == [2 * FEE, FEE]


def test_a_claim_given_up_for_a_payment_that_was_reorged_out_is_retried(
    harness: BridgeHarness,
) -> None:
    key = at(harness, Status.PROVED).key
    harness.l2.deliver()
    assert harness.settle() == [key]
    harness.chain.reorg(1, keep=False)
    harness.chain.max_per_block = 0
    harness.look()
    assert harness.order(key).status is Status.PROVING
    harness.repay([key])
    order = harness.order(key)
    settled = change(
        harness.store,
        order,
        order.after(Fact.SETTLED, at=harness.now, tx=order.claim_tx),
        run_id="settle",
        at=harness.now,
    )
    assert settled.status is Status.COMPLETED
    harness.later(61)
    harness.replace_stuck()  # nobody waits for the claim any more
    harness.chain.max_per_block = None
    harness.mine()
    assert harness.store.outbox.of(key)[-1].purpose == "cancel"
    harness.detect()
    harness.l2.reorg(1)
    harness.detect()
    order = harness.order(key)
    assert (order.status, order.attempt) == (Status.FULFILLED, 2)
    harness.repay([key])
    harness.mine()
    harness.l2.deliver()
    assert harness.settle() == [key]


def test_a_payment_reorged_out_is_waited_for_again(harness: BridgeHarness) -> None:
    key = at(harness, Status.PROVED).key
    harness.l2.deliver()
    assert harness.settle() == [key]
    harness.detect()
    harness.l2.reorg(1)
    harness.detect()
    order = harness.order(key)
    assert (order.status, order.settle_tx) == (Status.PROVED, None)
    assert kinds(harness, key) == ["Reorged"]
    harness.l2.deliver()
    assert harness.settle() == [key]


def test_a_payment_reorged_out_before_the_cursor_reached_it_is_detected(
    harness: BridgeHarness,
) -> None:
    keys = [order.key for order in all_at(harness, Status.PROVED, 60)]
    harness.detect()
    harness.l2.deliver()
    assert harness.settle() == keys  # in a block that the cursor has not come to
    harness.l2.reorg(1)
    harness.detect()
    assert set(harness.statuses().values()) == {Status.COMPLETED}
    steps.backfill(harness.bridge, harness.run)
    assert set(harness.statuses().values()) == {Status.COMPLETED}  # perhaps a node is behind
    harness.later(60)
    steps.backfill(harness.bridge, harness.run)
    assert set(harness.statuses().values()) == {Status.PROVED}
    harness.l2.deliver()
    assert sorted(harness.settle()) == sorted(keys)
