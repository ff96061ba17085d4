"""The L2 takes blocks back: before an order is paid, while it is, and afterwards."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.order import Fact, Order, Status
from mmbot_pipelines.bridge.policy import Tier
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei, in_words
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.world import World

AMOUNT, FEE = 10**16, 10**16


@pytest.fixture
def world() -> World:
    return World()


def kinds(world: World, key: str) -> list[str]:
    return [entry.fault.kind for entry in world.store.errors(key)]


def at(world: World, status: Status) -> Order:
    """Bring one order to a status; return it as the escrow logged it."""
    (logged,) = world.l2.set_orders(1)
    (key,) = world.detect()
    if status in (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING, Status.PROVED):
        world.transfer([key])
    if status in (Status.FULFILLED, Status.PROVING, Status.PROVED):
        world.mine()
    if status in (Status.PROVING, Status.PROVED):
        world.repay([key])
    if status is Status.PROVED:
        world.mine()
    assert world.order(key).status is status
    return logged


# the cursor


def test_the_cursor_goes_back_to_where_the_chain_was_left(world: World) -> None:
    world.l2.mine(300)
    world.set_and_detect()
    world.l2.reorg(50)
    world.l2.set_order(amount=5 * AMOUNT)
    world.l2.mine(3)
    world.detect()
    (stored,) = world.store.get(["zksync:0"])
    assert stored.amount == 5 * AMOUNT
    assert world.store.cursor("zksync", Cursor.LATEST) == world.l2.head(Cursor.LATEST)
    (error,) = world.store.errors("zksync")
    assert error.fault.kind == "Reorg"
    assert "read again from block 0" in error.fault.message  # nothing else is known
    assert world.detect() == []


def test_what_is_known_and_stands_saves_reading(world: World) -> None:
    world.set_and_detect()
    world.l2.mine(500)
    world.set_and_detect()
    world.l2.mine(200)
    world.detect()
    read: list[int] = []
    scan = world.l2.scan
    world.l2.scan = lambda first, last: read.append(first) or scan(first, last)  # type: ignore[func-returns-value, method-assign]
    world.l2.reorg(50)
    world.detect()
    assert read == [403]  # the newest order's block, 502, and a margin of 100


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_no_new_order_is_lost_in_blocks_that_were_replaced(world: World, depth: int) -> None:
    world.l2.mine(40)
    world.detect()
    world.l2.reorg(depth)
    world.l2.sealed[-depth].orders = [
        replace(o, block=world.l2.sealed[-depth].block)
        for o in world.l2._made(
            1,
            world.l2.sealed[-depth].block,
            amount=AMOUNT,
            fee=FEE,
            recipient="0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",  # type: ignore[arg-type]
        )
    ]
    assert world.detect() == ["zksync:0"]


def test_a_chain_that_is_shorter_now_is_read_again(world: World) -> None:
    world.set_and_detect()
    world.l2.mine(50)
    world.detect()
    del world.l2.sealed[-20:]
    world.l2._forks += 1
    world.l2.set_order()
    assert world.detect() == ["zksync:1"]


def test_a_reorg_that_cannot_be_looked_at_is_seen_at_the_next_tick(world: World) -> None:
    (key,) = world.set_and_detect()
    world.l2.reorg(1)
    check = world.l2.check
    world.l2.check = lambda _: (_ for _ in ()).throw(RpcUnavailable("gone"))  # type: ignore[method-assign]
    with pytest.raises(RpcUnavailable):
        world.detect()
    world.l2.check = check  # type: ignore[method-assign]
    assert world.order(key).status is Status.PENDING
    world.detect()
    assert world.order(key).status is Status.DROPPED


# before payment


@pytest.mark.parametrize("accepted", [True, False])
def test_an_order_that_vanished_is_dropped_and_never_paid(world: World, accepted: bool) -> None:
    key = at(world, Status.PENDING).key
    if accepted:
        world.l2.paused = True
        world.failing(lambda: world.transfer([key]))
        world.l2.paused = False
    world.l2.reorg(1)
    world.transfer([key])
    order = world.order(key)
    assert (order.status, order.taken_back, order.failed) == (Status.DROPPED, True, False)
    assert order.reason == "its block 1 was taken back, and no other has it"
    assert kinds(world, key)[-1] == "TakenBack"
    assert world.chain.broadcasts == []


def test_an_order_that_comes_back_is_revived_and_paid(world: World) -> None:
    logged = at(world, Status.PENDING)
    world.l2.reorg(1)
    world.detect()
    assert world.order(logged.key).status is Status.DROPPED
    (again,) = world.l2.put([logged])
    world.detect()
    order = world.order(logged.key)
    assert (order.status, order.block) == (Status.PENDING, again.block)
    world.transfer([logged.key])
    world.mine()
    assert world.paid(logged.key) == 1
    way = [entry.after for entry in world.store.history(logged.key)]
    assert way[:3] == [Status.PENDING, Status.DROPPED, Status.PENDING]


def test_an_order_of_a_block_that_comes_back_itself_is_revived(world: World) -> None:
    logged = at(world, Status.PENDING)
    blocks = list(world.l2.sealed)
    world.l2.reorg(1)
    world.detect()
    world.l2.sealed = blocks
    world.l2.mine()
    world.detect()
    order = world.order(logged.key)
    assert (order.status, order.block) == (Status.PENDING, logged.block)


def test_an_order_refused_before_stays_refused(world: World) -> None:
    (logged,) = world.l2.set_orders(1, fee=1)
    world.detect()
    world.transfer([logged.key])
    world.l2.reorg(1)
    (again,) = world.l2.put([logged])
    world.detect()
    order = world.order(logged.key)
    assert (order.status, order.block) == (Status.DROPPED, again.block)


def test_an_order_in_another_block_is_paid_as_it_is(world: World) -> None:
    logged = at(world, Status.PENDING)
    world.l2.reorg(1)
    (again,) = world.l2.put([logged])
    world.transfer([logged.key])  # before any sensor has seen the reorg
    order = world.order(logged.key)
    assert (order.status, order.block) == (Status.TRANSFERRING, again.block)
    world.detect()
    world.mine()
    assert world.paid(logged.key) == 1
    assert kinds(world, logged.key) == []


@pytest.mark.parametrize("seen", [True, False])
def test_a_number_reused_is_paid_as_what_it_is_now(world: World, seen: bool) -> None:
    first = at(world, Status.PENDING)
    world.l2.reorg(1)
    (second,) = world.l2.set_orders(1, amount=3 * AMOUNT)
    assert first.key == second.key
    if seen:
        world.detect()
    world.transfer([first.key])
    world.transfer([first.key])
    world.mine()
    order = world.order(first.key)
    assert (order.amount, order.block, order.status) == (
        second.amount,
        second.block,
        Status.FULFILLED,
    )
    assert [t.call.value for t in world.chain.executed()] == [second.amount]
    assert "TakenBack" in kinds(world, first.key)
    assert in_words(first.amount) in world.store.errors(first.key)[0].fault.message


def test_a_dropped_order_whose_number_is_reused_is_decided_anew(world: World) -> None:
    (first,) = world.l2.set_orders(1, fee=1)
    world.detect()
    world.transfer([first.key])
    world.l2.reorg(1)
    world.l2.set_orders(1)
    world.detect()
    world.transfer([first.key])
    world.mine()
    assert world.order(first.key).status is Status.FULFILLED


def test_two_orders_of_one_number_in_one_chain_do_not_swap(world: World) -> None:
    logged = at(world, Status.PENDING)
    liar = replace(logged, amount=Wei(7))
    world.l2.sealed[logged.block.number].orders.append(liar)
    world.l2.put([liar])
    world.detect()
    assert world.order(logged.key).amount == logged.amount
    assert kinds(world, logged.key) == ["OrderChanged"]


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
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
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


# confirmations


def asked(world: World) -> list[str]:
    unpaid = [Status.PENDING, Status.PROCESSING]
    return [order.key for order in steps.wanted(world.bridge, unpaid, "zksync")]


def test_an_order_waits_for_blocks_on_top_by_its_size(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(AMOUNT), 2), Tier(Wei(5 * AMOUNT), 4)))
    for amount in (AMOUNT - 1, AMOUNT, 5 * AMOUNT):
        world.set_and_detect(amount=amount)
    keys = ["zksync:0", "zksync:1", "zksync:2"]
    assert asked(world) == keys[:1]
    world.transfer(keys)
    assert [world.order(key).status for key in keys] == [
        Status.TRANSFERRING,
        Status.PENDING,
        Status.PENDING,
    ]
    assert not any(world.order(key).failed for key in keys)
    assert f"{keys[1]}: waits, 1 of 2 blocks are on top of its own" in world.said
    assert world.order(keys[2]).reason == "waits: 4 blocks must stand on top of its own"
    world.l2.mine()
    assert asked(world) == keys[1:2]
    world.l2.mine(3)
    assert asked(world) == keys[2:]
    world.transfer(keys)
    assert set(world.statuses().values()) == {Status.TRANSFERRING}
    assert [world.store.errors(key) for key in keys] == [[], [], []]


def test_a_moved_order_waits_anew(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), 3),))
    logged = at(world, Status.PENDING)
    world.l2.mine(3)
    world.l2.reorg(4)
    world.l2.put([logged])
    world.transfer([logged.key])
    assert world.order(logged.key).status is not Status.TRANSFERRING
    world.l2.mine(3)
    world.transfer([logged.key])
    assert world.order(logged.key).status is Status.TRANSFERRING


def test_an_order_of_an_unsealed_block_waits_for_its_blocks(world: World) -> None:
    world.rules(confirmations=(Tier(Wei(0), 1),))
    world.l2.show(1)
    (key,) = world.detect()
    assert asked(world) == []
    world.transfer([key])
    assert world.order(key).status is not Status.TRANSFERRING
    sealed = world.l2.seal()
    world.detect()
    assert world.order(key).block == sealed
    assert asked(world) == []
    world.l2.mine()
    assert asked(world) == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING


def test_without_tiers_an_unsealed_order_is_paid_at_once(world: World) -> None:
    world.l2.show(1)
    (key,) = world.detect()
    assert asked(world) == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
