"""The L2 takes blocks back before an order is paid."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.bridge.reorgs import review
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei, in_words
from tests.bridge.reorged import AMOUNT, FEE, at, kinds
from tests.bridge.world import World

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
    world.l2.scan = lambda first, last, **how: read.append(first) or scan(first, last, **how)  # type: ignore[func-returns-value, method-assign]
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
        world.transfer([key])
        assert world.order(key).status is Status.PROCESSING
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


@pytest.mark.parametrize("status", [Status.PENDING, Status.FULFILLED])
@pytest.mark.parametrize("escrow", ["paused", "paid out"])
def test_an_escrow_that_says_nothing_of_the_order_takes_nothing_back(
    world: World, monkeypatch: pytest.MonkeyPatch, status: Status, escrow: str
) -> None:
    logged = at(world, status)
    world.l2.reorg(1)
    world.l2.put([logged])
    if escrow == "paused":
        world.l2.paused = True
    else:
        world.l2.pay(logged.number)
    scan = world.l2.scan
    with monkeypatch.context() as patch:  # a node that has the block, but not yet its logs
        patch.setattr(world.l2, "scan", lambda *span, **how: replace(scan(*span, **how), orders=[]))
        review(world.bridge, "zksync", world.run)
    order = world.order(logged.key)
    assert (order.status, order.parked, kinds(world, logged.key)) == (status, False, [])
