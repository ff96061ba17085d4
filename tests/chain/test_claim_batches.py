"""Claims of several orders on the local chains, with a registry of ABI v2 and its escrow."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.bridge.ports.reports import total
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Call, Transaction
from mmbot_pipelines.devnet.chain import ask
from tests.chain.anvil_bridge import AnvilBridge
from tests.chaos.chain_facts import Chains, ZkSyncOrigin
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


# Takes money while its slot 0 is zero, and else reverts.
MOODY, MOODY_CODE = Address(f"0x{1234:040d}"), "0x5f54600657005b5f5ffd"


def test_the_report_is_what_the_chains_alone_add_up_to(bridge: AnvilBridge) -> None:
    """A batch, a claim of its own, a recipient that changes its mind, one order not yet repaid."""
    deployment, l1 = bridge.ports.devnet.deployment, bridge.ports.devnet.l1
    chains = Chains(deployment, [ZkSyncOrigin(deployment.zksync)])
    begin = chains.snapshot()
    ask(l1, "anvil_setCode", MOODY, MOODY_CODE)
    bridge.ports.set_orders(1, recipient=MOODY)
    keys = bridge.find(5, fee=3 * 10**15 + 1)
    (moody,) = {order.key for order in bridge.store.orders.unfinished("zksync", max_orders=9)} - {
        *keys
    }
    bridge.transfer([moody, *keys])  # its simulation liked it
    ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{1:064x}")
    bridge.mine()
    bridge.repay(keys[:3])
    bridge.repay(keys[3:4])
    bridge.mine()
    bridge.settle()
    assert len({claim.hash for claim in claims(bridge, keys[:3])}) == 1
    assert [bridge.order(key).status for key in keys[3:]] == [Status.COMPLETED, Status.FULFILLED]

    facts = chains.facts(begin)
    reports = PgReports(bridge.store._engine)
    day = bridge.now.replace(hour=0)
    figures = total(d.figures for d in reports.days(since=day, until=day + timedelta(days=1)))
    gas = sum(t.gas_cost for t in facts.transactions)
    assert figures.gas_paid == gas
    reverted = sum(t.gas_cost for t in facts.transactions if not t.succeeded)
    assert 0 < reverted == figures.gas_lost == figures.lost_to_strangers
    assert figures.paid == sum(payment.amount for payment in facts.payments)
    assert figures.messages_paid == -facts.wallet_change - gas - figures.paid
    terms = [facts.locked[key] for key in keys[:4]]
    assert figures.repaid == sum(order.amount for order in terms)
    assert figures.earned == sum(order.fee for order in terms)
    moved = facts.wallet_change + facts.origin_changes["zksync"]
    still_out = figures.paid - figures.repaid
    assert figures.profit == moved + still_out
    (*_, last) = reports.exposure(since=day, until=bridge.now + timedelta(hours=1))
    assert last.end == still_out == 10**16
    assert last.peak == 6 * 10**16
