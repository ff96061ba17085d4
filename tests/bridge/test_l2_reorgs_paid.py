"""The L2 takes blocks back while an order is paid, and afterwards."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.core.money import in_words
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.reorged import AMOUNT, FEE, at, kinds
from tests.bridge.world import World

# while it is paid


def test_a_transfer_of_an_order_that_vanished_is_cancelled_at_once(world: World) -> None:
    key = at(world, Status.TRANSFERRING).key
    world.l2.reorg(1)
    world.detect()
    order = world.order(key)
    assert (order.status, order.parked, order.taken_back) == (Status.TRANSFERRING, True, True)
    assert kinds(world, key) == ["NoSuchBlock"]
    world.replace_stuck()
    world.mine()
    assert [(t.purpose, t.state) for t in world.store.transactions(key)] == [
        ("transfer", TxState.REPLACED),
        ("cancel", TxState.MINED),
    ]
    assert world.paid(key) == 0
    world.later(1000)
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED
    assert world.chain.pool == {}


def test_an_order_cancelled_for_its_block_is_paid_when_it_comes_back(world: World) -> None:
    logged = at(world, Status.TRANSFERRING)
    world.l2.reorg(1)
    world.detect()
    world.replace_stuck()
    world.mine()
    world.l2.put([logged])
    world.detect()
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    steps.advance(world.bridge, [logged.key], world.run)
    world.mine()
    assert world.paid(logged.key) == 1


def test_a_number_reused_while_it_is_paid_is_paid_once_as_the_second(world: World) -> None:
    first = at(world, Status.TRANSFERRING)
    world.l2.reorg(1)
    (second,) = world.l2.set_orders(1, amount=3 * AMOUNT)
    world.detect()
    world.replace_stuck()
    world.mine()
    world.later(1000)
    for _ in range(3):
        steps.advance(world.bridge, [first.key], world.run)
        world.mine()
    order = world.order(first.key)
    assert (order.amount, order.status) == (second.amount, Status.PROVED)
    values = [t.call.value for t in world.chain.executed() if json_kind(t.call.data) == "transfer"]
    assert values == [second.amount]


def json_kind(data: bytes) -> str:
    return data.decode()[2:10] if data else ""


def test_an_order_that_comes_back_in_time_is_not_cancelled(world: World) -> None:
    logged = at(world, Status.TRANSFERRING)
    world.l2.reorg(1)
    world.detect()
    world.l2.put([logged])
    world.detect()
    assert not world.order(logged.key).failed
    assert steps.stuck(world.bridge) == []
    world.mine()
    assert world.order(logged.key).status is Status.FULFILLED


# after payment


@pytest.mark.parametrize("status", [Status.FULFILLED, Status.PROVING, Status.PROVED])
def test_what_is_paid_for_an_order_that_vanished_is_told(world: World, status: Status) -> None:
    key = at(world, status).key
    world.l2.reorg(1)
    world.detect()
    order = world.order(key)
    assert (order.status, order.parked) == (status, True)
    (error,) = world.store.errors(key)
    assert error.fault.kind == "ReorgAfterPayment"
    assert in_words(AMOUNT) in error.fault.message
    assert in_words(AMOUNT + FEE) in error.fault.message
    world.detect()
    steps.backfill(world.bridge, world.run)
    assert len(world.store.errors(key)) == 1


def test_nothing_is_claimed_for_an_order_that_vanished(world: World) -> None:
    key = at(world, Status.FULFILLED).key
    world.l2.reorg(1)
    world.repay([key])  # before any sensor has seen the reorg
    assert kinds(world, key) == ["ReorgAfterPayment"]
    assert world.chain.pool == {}


def test_the_claim_goes_on_when_the_order_comes_back(world: World) -> None:
    logged = at(world, Status.FULFILLED)
    world.l2.reorg(1)
    world.detect()
    assert steps.wanted(world.bridge, [Status.FULFILLED]) == []
    world.l2.put([logged])
    world.detect()
    (order,) = steps.wanted(world.bridge, [Status.FULFILLED])
    world.repay([order.key])
    world.mine()
    world.l2.deliver()
    assert world.settle() == [logged.key]
    assert world.paid(logged.key) == 1


def test_a_number_reused_after_payment_is_told_and_not_paid_again(world: World) -> None:
    first = at(world, Status.FULFILLED)
    world.l2.reorg(1)
    world.l2.set_orders(1, amount=3 * AMOUNT)
    world.detect()
    order = world.order(first.key)
    assert (order.amount, order.parked) == (first.amount, True)
    assert kinds(world, first.key)[0] == "ReorgAfterPayment"
    steps.reprocess(world.bridge, [first.key], world.run)
    assert len(world.chain.executed()) == 1
    assert world.chain.pool == {}


def test_what_was_paid_for_another_fee_is_claimed_with_it(world: World) -> None:
    first = at(world, Status.FULFILLED)
    world.l2.reorg(1)
    world.l2.set_orders(1, fee=FEE + 5)
    world.detect()
    order = world.order(first.key)
    assert (order.fee, order.failed, order.status) == (FEE + 5, False, Status.FULFILLED)
    world.repay([first.key])
    world.mine()
    world.l2.deliver()
    assert world.settle() == [first.key]
    assert world.paid(first.key) == 1


def test_two_orders_that_swap_their_numbers_are_both_repaid(world: World) -> None:
    world.l2.set_orders(1, fee=FEE)
    world.l2.set_orders(1, fee=2 * FEE)
    keys = world.detect()
    world.transfer(keys)
    world.mine()
    world.l2.reorg(2)
    world.l2.set_orders(1, fee=2 * FEE)
    world.l2.set_orders(1, fee=FEE)
    world.detect()
    world.repay(keys)
    world.mine()
    world.l2.deliver()
    assert world.settle() == keys
    assert [world.order(key).fee for key in keys] == [2 * FEE, FEE]


def test_a_claim_given_up_for_a_payment_that_was_taken_back_is_made_again(world: World) -> None:
    key = at(world, Status.PROVED).key
    world.l2.deliver()
    assert world.settle() == [key]
    world.chain.reorg(1, keep=False)
    world.chain.most_per_block = 0
    world.look()
    assert world.order(key).status is Status.PROVING
    world.repay([key])
    order = world.order(key)
    settled = world.store.change(
        order,
        order.after(Fact.SETTLED, at=world.now, tx=order.claim_tx),
        run_id="settle",
        at=world.now,
    )
    assert settled.status is Status.COMPLETED
    world.later(61)
    world.replace_stuck()  # nobody waits for the claim any more
    world.chain.most_per_block = None
    world.mine()
    assert world.store.transactions(key)[-1].purpose == "cancel"
    world.detect()
    world.l2.reorg(1)
    world.detect()
    order = world.order(key)
    assert (order.status, order.attempt) == (Status.FULFILLED, 2)
    world.repay([key])
    world.mine()
    world.l2.deliver()
    assert world.settle() == [key]


def test_a_payment_taken_back_is_waited_for_again(world: World) -> None:
    key = at(world, Status.PROVED).key
    world.l2.deliver()
    assert world.settle() == [key]
    world.detect()
    world.l2.reorg(1)
    world.detect()
    order = world.order(key)
    assert (order.status, order.settle_tx) == (Status.PROVED, None)
    assert kinds(world, key) == ["TakenBack"]
    world.l2.deliver()
    assert world.settle() == [key]


def test_a_payment_taken_back_before_the_cursor_came_to_it_is_seen(world: World) -> None:
    keys = [at(world, Status.PROVED).key for _ in range(60)]
    world.detect()
    world.l2.deliver()
    assert world.settle() == keys  # in a block that the cursor has not come to
    world.l2.reorg(1)
    world.detect()
    assert set(world.statuses().values()) == {Status.COMPLETED}
    steps.backfill(world.bridge, world.run)
    assert set(world.statuses().values()) == {Status.COMPLETED}  # perhaps a node is behind
    world.later(60)
    steps.backfill(world.bridge, world.run)
    assert set(world.statuses().values()) == {Status.PROVED}
    world.l2.deliver()
    assert sorted(world.settle()) == sorted(keys)
