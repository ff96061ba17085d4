"""The L2 takes blocks back before an order is paid."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.reorg.l2 import review
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei, format_ether
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import AMOUNT, FEE, at, kinds

# the cursor


def test_the_cursor_goes_back_to_where_the_chain_was_left(harness: BridgeHarness) -> None:
    harness.l2.mine(300)
    harness.set_and_detect()
    harness.l2.reorg(50)
    harness.l2.set_order(amount=5 * AMOUNT)
    harness.l2.mine(3)
    harness.detect()
    (stored,) = harness.store.orders.get(["zksync:0"])
    assert stored.amount == 5 * AMOUNT
    assert harness.store.orders.cursor("zksync", Cursor.LATEST) == harness.l2.head(Cursor.LATEST)
    (error,) = harness.store.errors.of("zksync")
    assert error.fault.kind == "Reorg"
    assert "read again from block 0" in error.fault.message  # nothing else is known
    assert harness.detect() == []


def test_what_is_known_and_stands_saves_reading(harness: BridgeHarness) -> None:
    harness.set_and_detect()
    harness.l2.mine(500)
    harness.set_and_detect()
    harness.l2.mine(200)
    harness.detect()
    read: list[int] = []
    scan = harness.l2.scan
    harness.l2.scan = lambda first, last, **how: read.append(first) or scan(first, last, **how)
    harness.l2.reorg(50)
    harness.detect()
    assert read == [403]  # the newest order's block, 502, and a margin of 100


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_no_new_order_is_lost_in_blocks_that_were_replaced(
    harness: BridgeHarness, depth: int
) -> None:
    harness.l2.mine(40)
    harness.detect()
    harness.l2.reorg(depth)
    harness.l2.sealed[-depth].orders = [
        replace(o, block=harness.l2.sealed[-depth].block)
        for o in harness.l2._made(
            1,
            harness.l2.sealed[-depth].block,
            amount=AMOUNT,
            fee=FEE,
            recipient="0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
        )
    ]
    assert harness.detect() == ["zksync:0"]


def test_a_chain_that_is_shorter_now_is_read_again(harness: BridgeHarness) -> None:
    harness.set_and_detect()
    harness.l2.mine(50)
    harness.detect()
    del harness.l2.sealed[-20:]
    harness.l2._forks += 1
    harness.l2.set_order()
    assert harness.detect() == ["zksync:1"]


def test_a_reorg_that_cannot_be_looked_at_is_seen_at_the_next_tick(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.l2.reorg(1)
    check = harness.l2.check
    harness.l2.check = lambda _: (_ for _ in ()).throw(RpcUnavailable("gone"))
    with pytest.raises(RpcUnavailable):
        harness.detect()
    harness.l2.check = check
    assert harness.order(key).status is Status.PENDING
    harness.detect()
    assert harness.order(key).status is Status.DROPPED


# before payment


@pytest.mark.parametrize("accepted", [True, False])
def test_an_orphaned_order_is_dropped_and_never_paid(
    harness: BridgeHarness, accepted: bool
) -> None:
    key = at(harness, Status.PENDING).key
    if accepted:
        harness.l2.paused = True
        harness.transfer([key])
        assert harness.order(key).status is Status.PROCESSING
        harness.l2.paused = False
    harness.l2.reorg(1)
    harness.transfer([key])
    order = harness.order(key)
    assert (order.status, order.is_orphaned, order.failed) == (Status.DROPPED, True, False)
    assert order.reason == "its block 1 was reorged out, and no other has it"
    assert kinds(harness, key)[-1] == "Reorged"
    assert harness.chain.broadcasts == []


def test_an_order_that_comes_back_is_revived_and_paid(harness: BridgeHarness) -> None:
    logged = at(harness, Status.PENDING)
    harness.l2.reorg(1)
    harness.detect()
    assert harness.order(logged.key).status is Status.DROPPED
    (again,) = harness.l2.put([logged])
    harness.detect()
    order = harness.order(logged.key)
    assert (order.status, order.block) == (Status.PENDING, again.block)
    harness.transfer([logged.key])
    harness.mine()
    assert harness.paid(logged.key) == 1
    way = [entry.after for entry in harness.store.orders.history(logged.key)]
    assert way[:3] == [Status.PENDING, Status.DROPPED, Status.PENDING]


def test_an_order_of_a_block_that_comes_back_itself_is_revived(harness: BridgeHarness) -> None:
    logged = at(harness, Status.PENDING)
    blocks = list(harness.l2.sealed)
    harness.l2.reorg(1)
    harness.detect()
    harness.l2.sealed = blocks
    harness.l2.mine()
    harness.detect()
    order = harness.order(logged.key)
    assert (order.status, order.block) == (Status.PENDING, logged.block)


def test_an_order_refused_before_stays_refused(harness: BridgeHarness) -> None:
    (logged,) = harness.l2.set_orders(1, fee=1)
    harness.detect()
    harness.transfer([logged.key])
    harness.l2.reorg(1)
    (again,) = harness.l2.put([logged])
    harness.detect()
    order = harness.order(logged.key)
    assert (order.status, order.block) == (Status.DROPPED, again.block)


def test_an_order_in_another_block_is_paid_as_it_is(harness: BridgeHarness) -> None:
    logged = at(harness, Status.PENDING)
    harness.l2.reorg(1)
    (again,) = harness.l2.put([logged])
    harness.transfer([logged.key])  # before any sensor has seen the reorg
    order = harness.order(logged.key)
    assert (order.status, order.block) == (Status.TRANSFERRING, again.block)
    harness.detect()
    harness.mine()
    assert harness.paid(logged.key) == 1
    assert kinds(harness, logged.key) == []


def test_orders_are_searched_in_every_block_however_short_the_ranges_are(
    harness: BridgeHarness,
) -> None:
    logged = [at(harness, Status.PENDING) for _ in range(4)]
    harness.l2.reorg(4)
    for order in logged:
        harness.l2.put([order])
    harness.l2.max_blocks = 1  # of one range
    harness.transfer([order.key for order in logged])
    assert set(harness.statuses().values()) == {Status.TRANSFERRING}


@pytest.mark.parametrize("seen", [True, False])
def test_a_number_reused_is_paid_as_what_it_is_now(harness: BridgeHarness, seen: bool) -> None:
    first = at(harness, Status.PENDING)
    harness.l2.reorg(1)
    (second,) = harness.l2.set_orders(1, amount=3 * AMOUNT)
    assert first.key == second.key
    if seen:
        harness.detect()
    harness.transfer([first.key])
    harness.transfer([first.key])
    harness.mine()
    order = harness.order(first.key)
    assert (order.amount, order.block, order.status) == (
        second.amount,
        second.block,
        Status.FULFILLED,
    )
    assert [t.call.value for t in harness.chain.executed()] == [second.amount]
    assert "Reorged" in kinds(harness, first.key)
    assert format_ether(first.amount) in harness.store.errors.of(first.key)[0].fault.message


def test_a_dropped_order_whose_number_is_reused_is_decided_again(harness: BridgeHarness) -> None:
    (first,) = harness.l2.set_orders(1, fee=1)
    harness.detect()
    harness.transfer([first.key])
    harness.l2.reorg(1)
    harness.l2.set_orders(1)
    harness.detect()
    harness.transfer([first.key])
    harness.mine()
    assert harness.order(first.key).status is Status.FULFILLED


def test_two_orders_of_one_number_in_one_chain_do_not_swap(harness: BridgeHarness) -> None:
    logged = at(harness, Status.PENDING)
    liar = replace(logged, amount=Wei(7))
    harness.l2.sealed[logged.block.number].orders.append(liar)
    harness.l2.put([liar])
    harness.detect()
    assert harness.order(logged.key).amount == logged.amount
    assert kinds(harness, logged.key) == ["OrderChanged"]


@pytest.mark.parametrize("status", [Status.PENDING, Status.FULFILLED])
@pytest.mark.parametrize("escrow", ["paused", "paid out"])
def test_an_escrow_that_does_not_answer_orphans_no_order(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch, status: Status, escrow: str
) -> None:
    logged = at(harness, status)
    harness.l2.reorg(1)
    harness.l2.put([logged])
    if escrow == "paused":
        harness.l2.paused = True
    else:
        harness.l2.pay(logged.number)
    scan = harness.l2.scan
    with monkeypatch.context() as patch:  # a node that has the block, but not yet its logs
        patch.setattr(
            harness.l2, "scan", lambda *span, **how: replace(scan(*span, **how), orders=[])
        )
        review(harness.bridge, "zksync", harness.run)
    order = harness.order(logged.key)
    assert (order.status, order.is_parked, kinds(harness, logged.key)) == (status, False, [])
