"""An L2 takes the escrow's payment back after hours: COMPLETED is checked until it is final."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress
from sqlalchemy import text

from mmbot_pipelines.adapters.db.engine import connect, transaction
from mmbot_pipelines.adapters.ethereum.quorum import RpcDisagrees
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.awaiting import until
from tests.bridge.reorged import at, kinds
from tests.bridge.world import World
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_stage import on_starknet

HOURS = 5 * 3600


@pytest.fixture
def searched(world: World) -> list[str]:
    """Note of which orders the L2 is asked for a payment."""
    asked: list[str] = []
    settled = world.l2.settled

    def noting(orders: list[Order]) -> object:
        asked.extend(order.key for order in orders)
        return settled(orders)

    world.l2.settled = noting  # type: ignore[assignment,method-assign]
    return asked


def completed(world: World, count: int = 1) -> list[str]:
    keys = [at(world, Status.PROVED).key for _ in range(count)]
    world.l2.deliver()
    world.settle()
    assert {world.order(key).status for key in keys} == {Status.COMPLETED}
    world.detect()
    return keys


def review(world: World) -> None:
    steps.backfill(world.bridge, world.run)


def test_a_payment_taken_back_after_hours_is_noticed(world: World) -> None:
    (key,) = completed(world)
    world.later(HOURS)
    world.l2.final_depth = 100  # L1 has accepted nothing meanwhile
    review(world)
    assert world.order(key).status is Status.COMPLETED
    world.l2.reorg(1)
    review(world)
    order = world.order(key)
    assert (order.status, order.settle_tx, order.settle_block) == (Status.PROVED, None, None)
    assert kinds(world, key) == ["TakenBack"]
    world.l2.deliver()
    assert world.settle() == [key]


def test_a_settlement_is_read_no_more_once_it_is_final(world: World, searched: list[str]) -> None:
    (key,) = completed(world)
    world.later(60)
    world.l2.mine(world.l2.final_depth)
    review(world)
    assert world.order(key).settle_final
    searched.clear()
    for _ in range(3):
        world.later(HOURS)
        review(world)
    assert searched == []


def test_a_fork_has_all_settlements_above_it_checked_whatever_their_age(world: World) -> None:
    keys = completed(world, 60)
    world.later(HOURS)
    world.l2.mine(2)
    world.detect()
    world.l2.reorg(4)  # with the payments, hours ago
    world.detect()
    assert {world.order(key).status for key in keys} == {Status.PROVED}


def test_a_witness_that_is_stale_takes_no_settlement_back(world: World) -> None:
    (key,) = completed(world)
    world.later(HOURS)
    world.l2.unsure[key] = RpcDisagrees("nodes differ")
    review(world)
    assert world.order(key).status is Status.COMPLETED
    assert kinds(world, key) == []


def test_a_node_that_is_behind_the_settlement_takes_nothing_back(world: World) -> None:
    (key,) = completed(world)
    world.later(HOURS)
    payment, world.l2.sealed[-1:] = world.l2.sealed[-1:], []
    review(world)
    assert world.order(key).status is Status.COMPLETED
    world.l2.sealed += payment


def test_a_settlement_that_moved_to_another_block_is_final_only_there(world: World) -> None:
    (key,) = completed(world)
    first = world.order(key).settle_block
    world.later(HOURS)
    world.l2.reorg(1)
    world.l2.mine(3)
    world.l2.deliver()
    review(world)
    order = world.order(key)
    assert first is not None
    assert order.settle_block is not None
    assert order.status is Status.COMPLETED
    assert order.settle_block.number > first.number
    assert not order.settle_final
    world.l2.mine(world.l2.final_depth)
    review(world)
    assert world.order(key).settle_final


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


def test_starknet_takes_a_payment_back_after_hours(fresh: tuple[Devnet, ChecksumAddress]) -> None:
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as stage:
        way = Way(stage, stage.origin)
        (key,) = way.paid()
        stage.mine_l2(1)
        way.claim([key])
        way.consumed(key)
        stage.mine_l2(1)
        assert way.settle() == [key]
        way.now = way.now.replace(year=way.now.year + 1)
        stage.node.devnet("setDelivery", mode="withhold")
        stage.reorg_l2(1)
        steps.backfill(way.bridge, way.run)
        assert way.order(key).status is Status.PROVED
        stage.node.devnet("setDelivery", mode="deliver")
        until(way.settle, lambda: stage.mine_l2(1))
        assert way.order(key).status is Status.COMPLETED
        stage.mine_l2(12)
        way.now = way.now.replace(year=way.now.year + 1)
        steps.backfill(way.bridge, way.run)
        assert way.order(key).settle_final


def test_a_million_final_settlements_are_not_read_again(database_url: str) -> None:
    """The index holds only what is not final: its size is that of the last hours."""
    engine = connect(database_url)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text(
                "EXPLAIN SELECT * FROM mmbot.orders WHERE status = 'COMPLETED' AND NOT settle_final"
                " AND origin = 'starknet' AND settle_block_number >= 0"
                " ORDER BY settle_block_number LIMIT 500"
            )
        )
        assert "orders_settled" in "".join(plan.scalars())
    engine.dispose()
