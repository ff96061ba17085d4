"""Claims of several orders on the local chains, with a registry of ABI v2 and its escrow."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.outbox import Call, Transaction
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import on_anvil, send
from tests.postgres import clean_engine


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running("v2") as devnet:
        yield devnet


@pytest.fixture
def bridge(devnet: Devnet) -> Iterator[AnvilBridge]:
    engine: Engine = clean_engine()
    with on_anvil(devnet) as ports:
        bridge = AnvilBridge(ports, engine)
        batching = Batching(max_orders=50, max_age_seconds=60)
        rules = replace(bridge.bridge.rules, batching=batching)
        bridge.bridge = replace(bridge.bridge, rules=rules)
        yield bridge


def paid(bridge: AnvilBridge, count: int) -> list[str]:
    keys = bridge.find(count)
    bridge.transfer(keys)
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.FULFILLED}
    return keys


def claims(bridge: AnvilBridge, keys: list[str]) -> list[Transaction]:
    rows = {row.hash: row for key in keys for row in bridge.store.outbox.of(key)}
    return [row for row in rows.values() if row.purpose == "repay"]


def test_fifty_orders_are_repaid_by_one_claim(bridge: AnvilBridge) -> None:
    keys = paid(bridge, 50)
    taken = steps.take_orders(bridge.bridge, [Status.FULFILLED], "zksync")
    bridge.repay([order.key for order in taken])
    bridge.mine()
    (claim,) = claims(bridge, keys)
    assert len(claim.parts) == 50
    assert claim.gas_used is not None
    assert claim.gas_used < 50 * 10_000
    assert sorted(bridge.settle()) == sorted(keys)
    orders = [bridge.order(key) for key in keys]
    refunds = [order.claim_refund for order in orders]
    assert {order.settle_tx for order in orders} == {orders[0].settle_tx}
    assert None not in refunds
    assert 0 < sum(r for r in refunds if r is not None) < claim.call.value
    assert max(r for r in refunds if r is not None) - min(r for r in refunds if r is not None) <= 1


def test_an_order_claimed_by_another_program_is_left_out(bridge: AnvilBridge) -> None:
    keys = paid(bridge, 4)
    odd = bridge.order(keys[2])
    (call,) = bridge.ports.origin.claims([odd], bridge.ports.chain.fees())
    assert isinstance(call, Call)
    send(bridge.ports, [call])
    bridge.ports.mine()
    bridge.ports.deliver()
    bridge.repay(keys)
    assert bridge.order(odd.key).status is Status.COMPLETED
    bridge.mine()
    (claim,) = claims(bridge, keys)
    assert odd.key not in {part.subject for part in claim.parts}
    bridge.settle()
    assert {bridge.order(key).status for key in keys} == {Status.COMPLETED}


def test_a_reorg_that_takes_one_transfer_away_costs_no_reverted_batch(
    bridge: AnvilBridge,
) -> None:
    first = paid(bridge, 2)
    second = paid(bridge, 2)
    bridge.ports.reorg_l1(1)  # nothing of it is looked at before the claims are made
    with pytest.raises(OrdersFailed, match="PaymentNotVisible"):
        bridge.repay([*first, *second])
    sent = claims(bridge, first)
    assert [sorted(part.subject for part in row.parts) for row in sent] == [sorted(first)]
    assert claims(bridge, second) == []
    bridge.look()
    bridge.mine()
    bridge.repay(second)
    bridge.mine()
    bridge.settle()
    assert {bridge.order(key).status for key in [*first, *second]} == {Status.COMPLETED}
