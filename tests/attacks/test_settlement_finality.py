"""An L2 takes the escrow's payment back after hours: COMPLETED is checked until it is final."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress
from sqlalchemy import text

from mmbot_pipelines.adapters.db.engine import connect, transaction
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at, kinds
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.polling import until
from tests.ports.starknet_ports import on_starknet

HOURS = 5 * 3600


@pytest.fixture
def searched(harness: BridgeHarness) -> list[str]:
    """Note of which orders the L2 is asked for a payment."""
    asked: list[str] = []
    settled = harness.l2.settled

    def noting(orders: list[Order]) -> object:
        asked.extend(order.key for order in orders)
        return settled(orders)

    harness.l2.settled = noting
    return asked


def completed(harness: BridgeHarness, count: int = 1) -> list[str]:
    keys = [at(harness, Status.PROVED).key for _ in range(count)]
    harness.l2.deliver()
    harness.settle()
    assert {harness.order(key).status for key in keys} == {Status.COMPLETED}
    harness.detect()
    return keys


def review(harness: BridgeHarness) -> None:
    steps.backfill(harness.bridge, harness.run)


def test_a_payment_reorged_out_after_hours_is_noticed(harness: BridgeHarness) -> None:
    (key,) = completed(harness)
    harness.later(HOURS)
    harness.l2.final_depth = 100  # L1 has accepted nothing meanwhile
    review(harness)
    assert harness.order(key).status is Status.COMPLETED
    harness.l2.reorg(1)
    review(harness)
    order = harness.order(key)
    assert (order.status, order.settle_tx, order.settle_block) == (Status.PROVED, None, None)
    assert kinds(harness, key) == ["Reorged"]
    harness.l2.deliver()
    assert harness.settle() == [key]


def test_a_settlement_is_read_no_more_once_it_is_final(
    harness: BridgeHarness, searched: list[str]
) -> None:
    (key,) = completed(harness)
    harness.later(60)
    harness.l2.mine(harness.l2.final_depth)
    review(harness)
    assert harness.order(key).settle_final
    searched.clear()
    for _ in range(3):
        harness.later(HOURS)
        review(harness)
    assert searched == []


def test_a_fork_has_all_settlements_above_it_checked_whatever_their_age(
    harness: BridgeHarness,
) -> None:
    keys = completed(harness, 60)
    harness.later(HOURS)
    harness.l2.mine(2)
    harness.detect()
    harness.l2.reorg(4)  # with the payments, hours ago
    harness.detect()
    assert {harness.order(key).status for key in keys} == {Status.PROVED}


def test_a_witness_that_is_stale_takes_no_settlement_back(harness: BridgeHarness) -> None:
    (key,) = completed(harness)
    harness.later(HOURS)
    harness.l2.unsure[key] = RpcDisagrees("nodes differ")
    review(harness)
    assert harness.order(key).status is Status.COMPLETED
    assert kinds(harness, key) == []


def test_a_node_that_is_behind_the_settlement_takes_nothing_back(harness: BridgeHarness) -> None:
    (key,) = completed(harness)
    harness.later(HOURS)
    payment, harness.l2.sealed[-1:] = harness.l2.sealed[-1:], []
    review(harness)
    assert harness.order(key).status is Status.COMPLETED
    harness.l2.sealed += payment


def test_a_settlement_that_moved_to_another_block_is_final_only_there(
    harness: BridgeHarness,
) -> None:
    (key,) = completed(harness)
    first = harness.order(key).settle_block
    harness.later(HOURS)
    harness.l2.reorg(1)
    harness.l2.mine(3)
    harness.l2.deliver()
    review(harness)
    order = harness.order(key)
    assert first is not None
    assert order.settle_block is not None
    assert order.status is Status.COMPLETED
    assert order.settle_block.number > first.number
    assert not order.settle_final
    harness.l2.mine(harness.l2.final_depth)
    review(harness)
    assert harness.order(key).settle_final


def test_what_came_back_of_a_message_is_kept_while_the_same_payment_counts(
    harness: BridgeHarness,
) -> None:
    (key,) = completed(harness)
    order = harness.order(key)
    assert order.settle_tx is not None
    assert order.settle_block is not None
    harness.l2.unsure[key] = Settlement(order.settle_tx, order.settle_block, Wei(7))
    harness.later(60)
    review(harness)
    assert harness.order(key).claim_refund == 7
    harness.l2.unsure.clear()  # a node that does not know what came back
    review(harness)
    assert harness.order(key).claim_refund == 7
    harness.l2.reorg(1)
    harness.l2.mine(3)
    harness.l2.deliver()  # by another transaction
    review(harness)
    assert harness.order(key).status is Status.COMPLETED
    assert harness.order(key).claim_refund is None


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


def test_starknet_takes_a_payment_back_after_hours(fresh: tuple[Devnet, ChecksumAddress]) -> None:
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as ports:
        way = Way(ports, ports.origin)
        (key,) = way.paid()
        ports.mine_l2(1)
        way.claim([key])
        way.consumed(key)
        ports.mine_l2(1)
        assert way.settle() == [key]
        way.now = way.now.replace(year=way.now.year + 1)
        ports.node.inbox.mode = "withhold"
        ports.reorg_l2(1)
        steps.backfill(way.bridge, way.run)
        assert way.order(key).status is Status.PROVED
        ports.node.inbox.mode = "deliver"
        until(way.settle, lambda: ports.mine_l2(1))
        assert way.order(key).status is Status.COMPLETED
        ports.mine_l2(12)
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
