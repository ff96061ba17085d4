"""What messages give back on zkSync: also when they fail there, and as the quorum shows it.

An anvil knows no canonical hash of a request, and keeps no log of what reverts: the receipts
of failed messages are written here as zkSync shows them (era-contracts, bootloader.yul).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.records import PgRecords
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.metrics.figures import PgFigures
from mmbot_pipelines.adapters.origins import zksync_refunds
from mmbot_pipelines.adapters.origins.zksync import ZkSync
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Settlement
from mmbot_pipelines.bridge.refunds import record_refunds
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Transaction
from mmbot_pipelines.devnet.messenger import Messenger
from tests.attacks.liar import Liar, Lie
from tests.attacks.test_claim_refunds import BASE_TOKEN, MINT
from tests.bridge.world import World
from tests.chain.lane import Lane
from tests.cli.command import Mmbot
from tests.cli.conftest import mmbot
from tests.devnet.bridge import running
from tests.ports.stages import claim, on_anvil, pay

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
def lane(engine: Engine) -> Iterator[Lane]:
    with running() as devnet, on_anvil(devnet) as stage:
        yield Lane(stage, engine)


def behind(lane: Lane, nodes: ExitStack, *lies: Lie) -> ZkSync:
    """Return the origin behind nodes that lie about receipts; two of them must agree."""
    zksync = lane.stage.devnet.deployment.zksync
    found = [
        nodes.enter_context(Liar(zksync.rpc_url, eth_getTransactionReceipt=lie)).url for lie in lies
    ]
    return ZkSync(
        Rpc(found, chain="zksync", chain_id=zksync.chain_id, quorum=2),
        lane.stage.l1,
        lane.stage.registry,  # type: ignore[arg-type]
        escrow=Address(zksync.escrow),
        diamond=Address(zksync.diamond),
        wallet=Address(zksync.wallet),
        start=zksync.start_block,
        accepted=1,
    )


def mint(wallet: str, amount: int) -> dict[str, Any]:
    account = "0x" + wallet[2:].lower().rjust(64, "0")
    return {"address": BASE_TOKEN, "topics": [MINT, account], "data": f"0x{amount:064x}"}


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
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[TxHash]()
    refunded = world.l2.refunded
    monkeypatch.setattr(world.l2, "refunded", lambda txs: asked.update(txs) or refunded(txs))

    def claim() -> TxHash:
        (key,) = world.set_and_detect()
        for step in (world.transfer, world.repay):
            step([key])
            world.mine()
        return next(t.hash for t in world.store.transactions(key) if t.purpose == "repay")

    first = claim()
    for _ in range(3 * 24 * 12):  # three days of backfills
        world.later(300)
        record_refunds(world.bridge, "zksync", world.run)
    assert 10 < asked[first] < 20
    newest = claim()
    for _ in range(3):
        world.later(300)
        record_refunds(world.bridge, "zksync", world.run)
    assert asked[newest] > 1
    world.l2.refunds[first] = Wei(7)
    world.later(2 * 24 * 3600)
    record_refunds(world.bridge, "zksync", world.run)
    assert [t.refund for t in world.store.outbox if t.hash == first] == [7]


def canonical(lane: Lane) -> list[str]:
    deployment = lane.stage.devnet.deployment
    l1, l2 = lane.stage.devnet.l1, lane.stage.devnet.l2
    messenger = Messenger(l1=l1, l2=l2, diamond=deployment.zksync.diamond)
    return [request.tx_hash.to_0x_hex() for request in messenger.due(l1.eth.block_number)]


def claimed(lane: Lane, count: int) -> list[str]:
    keys = lane.find(count)
    lane.transfer(keys)
    lane.mine()
    lane.repay(keys)
    lane.mine()
    return keys


def claims(lane: Lane, keys: list[str]) -> list[Transaction]:
    return [t for key in keys for t in lane.store.transactions(key) if t.purpose == "repay"]


def test_what_a_failed_message_gives_back_is_recorded_to_the_wei(
    lane: Lane, nodes: ExitStack, engine: Engine, mmbot: Mmbot
) -> None:
    keys = claimed(lane, 3)
    failed, succeeded, _ = canonical(lane)
    wallet = lane.stage.devnet.deployment.zksync.wallet
    ends = {failed: "0x0", succeeded: "0x1"}
    truth, inflated = executed(wallet, ends), executed(wallet, ends, 10**20)
    origin = behind(lane, nodes, inflated, truth, truth)
    lane.bridge = replace(lane.bridge, origins={"zksync": origin})
    since = lane.now - timedelta(days=1)
    before = PgRecords(engine).day(since=since)
    for _ in range(2):
        lane.now += timedelta(minutes=5)
        steps.backfill(lane.bridge, lane.run)
        assert [t.refund for t in claims(lane, keys)] == [BACK, 0, None], lane.said[-3:]
    day = PgRecords(engine).day(since=since)
    assert (before.refunded, day.refunded) == (0, BACK)
    assert day.profit == before.profit + BACK
    figures = PgFigures(lambda: engine).read()
    assert figures.refunds_wei == {("zksync",): BACK}
    paid = sum(t.call.value for t in claims(lane, keys))
    assert figures.messages_wei == {("zksync",): paid}
    said = "its message failed on the L2, 0.000250000000000001 ETH (250000000000001 wei) came back"
    assert said in mmbot("orders", "show", keys[0]).out
    assert "came back" not in mmbot("orders", "show", keys[1]).out

    # What L1 takes back is unknown again.
    (row, *_) = claims(lane, keys)
    lane.store.unmine(row, None, None, run_id="run", at=lane.now)
    assert claims(lane, keys)[0].refund is None
    assert PgRecords(engine).day(since=since).refunded == 0


@pytest.mark.parametrize("forged", [{"address": BASE_TOKEN}, {"topics": [MINT]}])
def test_only_the_diamonds_request_says_which_message_a_claim_has_sent(
    lane: Lane, nodes: ExitStack, forged: dict[str, Any]
) -> None:
    """What any contract logs in a claim's transaction names no transaction of the L2."""
    rows = claims(lane, claimed(lane, 2))
    deployment = lane.stage.devnet.deployment
    diamond = Address(deployment.zksync.diamond)

    def lie(params: Any, receipt: Any) -> Any:
        (request,) = (log for log in receipt["logs"] if log["address"] == diamond.lower())
        other = request | {"data": "0x" + "66" * 64} | forged
        return receipt | {"logs": [other, *receipt["logs"]]}

    node = nodes.enter_context(Liar(deployment.l1.rpc_url, eth_getTransactionReceipt=lie))
    l1 = Rpc([node.url], chain="L1", chain_id=deployment.l1.chain_id)
    assert zksync_refunds.messages(l1, [row.hash for row in rows], diamond) == canonical(lane)


@pytest.mark.parametrize("place", [0, 1])
def test_one_node_of_three_changes_no_refund_and_delays_no_payment(
    lane: Lane, nodes: ExitStack, place: int
) -> None:
    orders = lane.stage.set_orders(2)
    pay(lane.stage, orders)
    claim(lane.stage, orders)
    lane.stage.deliver()
    truth = lane.stage.origin.settled(orders)
    wallet = lane.stage.devnet.deployment.zksync.wallet

    def inflated(params: Any, result: Any) -> Any:
        return result | {"logs": [*result["logs"], mint(wallet, 10**20)]}

    lies = [inflated if n == place else (lambda params, result: result) for n in range(3)]
    assert behind(lane, nodes, *lies).settled(orders) == truth
    # Of two nothing is proven: the payment counts, its refund is read again later.
    for seen in behind(lane, nodes, *lies[:2]).settled(orders)[:1]:
        assert isinstance(seen, Settlement)
        assert seen.refund is None
