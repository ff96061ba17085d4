"""What messages give back on zkSync: also when they fail there, and as the quorum shows it.

An anvil knows no canonical hash of a request, and keeps no log of what reverts: the receipts
of failed messages are written here as zkSync shows them (era-contracts, bootloader.yul).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.bridge.zksync import requests
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.db.bridge.figures import PgFigures
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.claims.refunds import record_refunds
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.bridge.ports.reports import Figures, total
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Transaction
from mmbot_pipelines.devnet.messenger import Messenger
from tests.attacks.liar import Liar, Lie
from tests.attacks.test_claim_refunds import BASE_TOKEN, MINT, mint
from tests.bridge.harness import BridgeHarness
from tests.chain.anvil_bridge import AnvilBridge
from tests.cli.command import Mmbot
from tests.cli.conftest import mmbot
from tests.devnet.bridge import running
from tests.ports.port_harness import claim, on_anvil, pay
from tests.ports.store_writes import reopen

__all__ = ["mmbot"]  # fixture

BACK = 250_000_000_000_001


@pytest.fixture
def nodes() -> Iterator[ExitStack]:
    with ExitStack() as nodes:
        yield nodes


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def anvil_bridge(engine: Engine) -> Iterator[AnvilBridge]:
    with running() as devnet, on_anvil(devnet) as ports:
        yield AnvilBridge(ports, engine)


def behind(anvil_bridge: AnvilBridge, nodes: ExitStack, *lies: Lie) -> ZkSyncOrigin:
    """Return the origin behind nodes that lie about receipts; two of them must agree."""
    zksync = anvil_bridge.ports.devnet.deployment.zksync
    found = [
        nodes.enter_context(Liar(zksync.rpc_url, eth_getTransactionReceipt=lie)).url for lie in lies
    ]
    return ZkSyncOrigin(
        Rpc(found, chain="zksync", chain_id=zksync.chain_id, quorum=2),
        anvil_bridge.ports.l1,
        anvil_bridge.ports.registry.address,
        escrow=Address(zksync.escrow),
        diamond=Address(zksync.diamond),
        wallet=Address(zksync.wallet),
        start=zksync.start_block,
        accepted=1,
    )


def executed(wallet: str, ends: dict[str, str], amount: int = BACK) -> Lie:
    """Return what a node of zksync shows of messages: their status by canonical hash."""

    def lie(params: Any, result: Any) -> Any:
        (tx,) = params
        if tx not in ends:
            return result
        logs = [mint(wallet, amount)]
        return {"transactionHash": tx, "status": ends[tx], "blockNumber": "0x1", "logs": logs}

    return lie


def test_a_refund_that_stays_unknown_is_asked_for_less_and_less_often(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[TxHash]()
    ends = harness.l2.message_ends
    monkeypatch.setattr(harness.l2, "message_ends", lambda txs: asked.update(txs) or ends(txs))

    def claim() -> TxHash:
        (key,) = harness.set_and_detect()
        for step in (harness.transfer, harness.repay):
            step([key])
            harness.mine()
        return next(t.hash for t in harness.store.outbox.of(key) if t.purpose == "repay")

    first = claim()
    for _ in range(3 * 24 * 12):  # three days of backfills
        harness.later(300)
        record_refunds(harness.bridge, "zksync", harness.run)
    assert 10 < asked[first] < 20
    newest = claim()
    for _ in range(3):
        harness.later(300)
        record_refunds(harness.bridge, "zksync", harness.run)
    assert asked[newest] > 1
    harness.l2.refunds[first] = Wei(7)
    harness.later(2 * 24 * 3600)
    record_refunds(harness.bridge, "zksync", harness.run)
    assert [t.refund for t in harness.transactions() if t.hash == first] == [7]


def last_day(engine: Engine, since: datetime) -> Figures:
    return total(entry.figures for entry in PgReports(engine).days(since=since))


def canonical(anvil_bridge: AnvilBridge) -> list[str]:
    deployment = anvil_bridge.ports.devnet.deployment
    l1, l2 = anvil_bridge.ports.devnet.l1, anvil_bridge.ports.devnet.l2
    messenger = Messenger(l1=l1, l2=l2, diamond=deployment.zksync.diamond)
    return [request.tx_hash.to_0x_hex() for request in messenger.due(l1.eth.block_number)]


def claimed(anvil_bridge: AnvilBridge, count: int) -> list[str]:
    keys = anvil_bridge.find(count)
    anvil_bridge.transfer(keys)
    anvil_bridge.mine()
    anvil_bridge.repay(keys)
    anvil_bridge.mine()
    return keys


def claims(anvil_bridge: AnvilBridge, keys: list[str]) -> list[Transaction]:
    return [t for key in keys for t in anvil_bridge.store.outbox.of(key) if t.purpose == "repay"]


def test_what_a_failed_message_gives_back_is_recorded_to_the_wei(
    anvil_bridge: AnvilBridge, nodes: ExitStack, engine: Engine, mmbot: Mmbot
) -> None:
    keys = claimed(anvil_bridge, 3)
    failed, succeeded, _ = canonical(anvil_bridge)
    wallet = anvil_bridge.ports.devnet.deployment.zksync.wallet
    ends = {failed: "0x0", succeeded: "0x1"}
    truth, inflated = executed(wallet, ends), executed(wallet, ends, 10**20)
    origin = behind(anvil_bridge, nodes, inflated, truth, truth)
    anvil_bridge.bridge = replace(anvil_bridge.bridge, origins={"zksync": origin})
    since = anvil_bridge.now - timedelta(days=1)
    before = last_day(engine, since)
    for _ in range(2):
        anvil_bridge.now += timedelta(minutes=5)
        steps.backfill(anvil_bridge.bridge, anvil_bridge.run)
        assert [t.refund for t in claims(anvil_bridge, keys)] == [BACK, 0, None], (
            anvil_bridge.logged[-3:]
        )
    day = last_day(engine, since)
    assert (before.refunded, day.refunded) == (0, BACK)
    assert day.profit == before.profit + BACK
    figures = PgFigures(lambda: engine).read()
    assert figures.refunds_wei == {("zksync",): BACK}
    paid = sum(t.call.value for t in claims(anvil_bridge, keys))
    assert figures.messages_wei == {("zksync",): paid}
    logged = (
        "its message failed on the L2, 0.000250000000000001 ETH (250000000000001 wei) came back"
    )
    assert logged in mmbot("orders", "show", keys[0]).out
    assert "came back" not in mmbot("orders", "show", keys[1]).out

    # After a reorg of L1 it is unknown again.
    (row, *_) = claims(anvil_bridge, keys)
    reopen(anvil_bridge.store, row, None, None, run_id="run", at=anvil_bridge.now)
    assert claims(anvil_bridge, keys)[0].refund is None
    assert last_day(engine, since).refunded == 0


@pytest.mark.parametrize("forged", [{"address": BASE_TOKEN}, {"topics": [MINT]}])
def test_only_the_diamonds_request_identifies_the_message_of_a_claim(
    anvil_bridge: AnvilBridge, nodes: ExitStack, forged: dict[str, Any]
) -> None:
    """What any contract logs in a claim's transaction names no transaction of the L2."""
    rows = claims(anvil_bridge, claimed(anvil_bridge, 2))
    deployment = anvil_bridge.ports.devnet.deployment
    diamond = Address(deployment.zksync.diamond)

    def lie(params: Any, receipt: Any) -> Any:
        (request,) = (log for log in receipt["logs"] if log["address"] == diamond.lower())
        other = request | {"data": "0x" + "66" * 64} | forged
        return receipt | {"logs": [other, *receipt["logs"]]}

    node = nodes.enter_context(Liar(deployment.l1.rpc_url, eth_getTransactionReceipt=lie))
    l1 = Rpc([node.url], chain="L1", chain_id=deployment.l1.chain_id)
    registry = anvil_bridge.ports.registry.address
    sent = requests.of_claims(l1, [row.hash for row in rows], diamond, registry)
    assert [[message.tx for message in one] for one in sent] == [
        [tx] for tx in canonical(anvil_bridge)
    ]


@pytest.mark.parametrize("place", [0, 1])
def test_one_node_of_three_changes_no_refund_and_delays_no_payment(
    anvil_bridge: AnvilBridge, nodes: ExitStack, place: int
) -> None:
    orders = anvil_bridge.ports.set_orders(2)
    pay(anvil_bridge.ports, orders)
    claim(anvil_bridge.ports, orders)
    anvil_bridge.ports.deliver()
    truth = anvil_bridge.ports.origin.settled(orders)
    wallet = anvil_bridge.ports.devnet.deployment.zksync.wallet

    def inflated(params: Any, result: Any) -> Any:
        return result | {"logs": [*result["logs"], mint(wallet, 10**20)]}

    lies = [inflated if n == place else (lambda params, result: result) for n in range(3)]
    assert behind(anvil_bridge, nodes, *lies).settled(orders) == truth
    # Of two nothing is proven: the payment counts, its refund is read again later.
    for seen in behind(anvil_bridge, nodes, *lies[:2]).settled(orders)[:1]:
        assert isinstance(seen, Settlement)
        assert seen.refund is None
