"""Transactions that are stuck: what takes their place, at their own nonce."""

from itertools import pairwise

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.transfers import GWEI, ends, rows, transferring
from tests.bridge.world import World
from tests.ports.chain_memory import ETH


def test_what_is_young_and_can_be_mined_is_left_alone(world: World) -> None:
    transferring(world)
    world.later(60)
    assert steps.stuck(world.bridge) == []
    steps.replace_stuck(world.bridge, world.run)
    assert len(world.store.in_flight()) == 1


def test_a_rising_base_fee_is_followed_at_the_same_nonce(world: World) -> None:
    (key,) = transferring(world)
    world.chain.base_fee = 5 * GWEI
    world.mine()
    assert world.order(key).status is Status.TRANSFERRING
    world.replace_stuck()
    world.mine()
    first, second = rows(world, key)
    assert (first.nonce, first.state) == (second.nonce, TxState.REPLACED)
    assert (second.bump, second.state, second.attempt) == (1, TxState.MINED, first.attempt)
    order = world.order(key)
    assert (order.status, order.transfer_tx) == (Status.FULFILLED, second.hash)
    assert world.paid(key) == 1
    assert world.store.errors(key) == []


def test_each_replacement_outbids_the_one_before(world: World) -> None:
    (key,) = transferring(world)
    world.chain.most_per_block = 0  # nobody takes it, whatever it offers
    for _ in range(4):
        world.later(61)
        world.replace_stuck()
        world.mine()
    fees = [t.fees for t in rows(world, key)]
    assert len(fees) == 5
    for old, new in pairwise(fees):
        assert 8 * new.ceiling >= 9 * old.ceiling
        assert 8 * new.priority >= 9 * old.priority
    assert list(world.chain.pool) == [0]
    world.chain.most_per_block = None
    world.mine()
    assert world.order(key).transfer_tx == rows(world, key)[-1].hash
    assert [t.state for t in rows(world, key)] == [TxState.REPLACED] * 4 + [TxState.MINED]


def test_an_older_one_may_be_mined_after_all(world: World) -> None:
    (key,) = transferring(world)
    world.later(61)
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.replace_stuck()
    world.chain.broadcast_fault = None
    world.mine()
    assert ends(world, key) == [("transfer", 0, TxState.MINED), ("transfer", 1, TxState.REPLACED)]
    assert world.order(key).transfer_tx == rows(world, key)[0].hash
    world.later(1000)
    world.look()
    assert world.paid(key) == 1


def test_a_whole_burst_is_replaced_and_mined_together(world: World) -> None:
    keys = transferring(world, 20)
    world.chain.base_fee = 4 * GWEI
    world.replace_stuck()
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert [world.paid(key) for key in keys] == [1] * 20
    assert [t.nonce for t in world.chain.executed()] == list(range(20))


def test_only_what_blocks_the_lane_is_replaced(world: World) -> None:
    (first,) = transferring(world)
    world.chain.base_fee = 4 * GWEI
    second = world.set_and_detect()[0]
    world.transfer([second])
    world.replace_stuck()
    assert [len(rows(world, key)) for key in (first, second)] == [2, 1]
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}


def test_death_between_storing_and_sending_a_replacement_loses_nothing(world: World) -> None:
    (key,) = transferring(world)
    world.chain.picky = True
    world.chain.base_fee = 4 * GWEI
    world.chain.pool.clear()
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.replace_stuck()
    world.chain.broadcast_fault = None
    assert world.chain.pool == {}
    world.look()  # the newest is sent again, and only that one
    assert world.chain.pool[0].hash == rows(world, key)[1].hash
    world.mine()
    assert world.order(key).status is Status.FULFILLED


def test_no_second_transfer_is_signed_while_one_is_undecided(world: World) -> None:
    (key,) = transferring(world)
    order = world.order(key)
    bug = order.__class__.cleared(order)
    object.__setattr__(bug, "status", Status.PROCESSING)
    object.__setattr__(bug, "attempt", 9)
    world.store.change(order, bug, run_id="bug", at=world.now)
    world.transfer([key])
    assert len(rows(world, key)) == 1
    assert world.said[-1].endswith("an earlier transfer is undecided, no other is signed")


def test_an_order_named_twice_is_paid_once(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key, key])
    assert len(rows(world, key)) == 1
    assert world.order(key).status is Status.TRANSFERRING


def test_a_dry_run_replaces_nothing(world: World) -> None:
    (key,) = transferring(world)
    world.rules(dry_run=True)
    world.later(61)
    assert steps.stuck(world.bridge) == []
    steps.replace_stuck(world.bridge, world.run)
    assert len(rows(world, key)) == 1


def test_replacements_count_only_once_against_the_funds(world: World) -> None:
    transferring(world, amount=10**17)
    world.chain.base_fee = 4 * GWEI
    world.chain.endowment = ETH // 4
    world.replace_stuck()
    (second,) = world.set_and_detect(amount=10**17)
    world.transfer([second])
    assert world.order(second).status is Status.TRANSFERRING
