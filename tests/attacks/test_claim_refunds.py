"""What a claim's message does not use comes back on the L2: recorded to the wei."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.bridge.zksync.refunds import _minted
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.reports import total
from mmbot_pipelines.core.money import Address, TxHash
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import on_anvil

WALLET = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
MINT = "0x0f6798a560793a54c3bcfe86a93cde1e73087d944c0ea20544137d4121396885"
BASE_TOKEN = "0x000000000000000000000000000000000000800a"
TX = TxHash("0x" + "ab" * 32)


@pytest.fixture
def engine(database_url: str) -> Engine:
    return connect(database_url)


@pytest.fixture(scope="module", params=["v1", "v2"])
def devnet(request: pytest.FixtureRequest) -> Iterator[Devnet]:
    with running(request.param) as devnet:
        yield devnet


def test_the_report_explains_the_wallet_to_the_wei(devnet: Devnet, engine: Engine) -> None:
    with on_anvil(devnet) as ports:
        anvil_bridge = AnvilBridge(ports, engine)
        wallet = devnet.deployment.market_maker
        balance, on_l1 = devnet.l2.eth.get_balance, devnet.l1.eth.get_balance
        before, before_on_l1 = balance(wallet), on_l1(wallet)
        keys = anvil_bridge.find(3)
        anvil_bridge.transfer(keys)
        anvil_bridge.mine()
        anvil_bridge.repay(keys)
        anvil_bridge.mine()
        anvil_bridge.settle()
        orders = [anvil_bridge.order(key) for key in keys]
        assert [o.status for o in orders] == [Status.COMPLETED] * 3
        gained = balance(wallet) - before
        refunds = [o.claim_refund or 0 for o in orders]
        assert gained == sum(o.amount + o.fee for o in orders) + sum(refunds)

        claims = [
            t for key in keys for t in anvil_bridge.store.outbox.of(key) if t.purpose == "repay"
        ]
        assert all(
            0.8 * t.call.value < r < t.call.value for t, r in zip(claims, refunds, strict=True)
        )
        report = PgReports(engine).days(since=anvil_bridge.now - timedelta(days=1))
        day = total(entry.figures for entry in report)
        assert day.refunded == sum(refunds)
        assert day.messages_paid == sum(t.call.value for t in claims)
        # The report adds up to what the chains did to the wallet.
        assert gained == day.repaid + day.earned + day.refunded
        assert before_on_l1 - on_l1(wallet) == day.paid + day.gas_paid + day.messages_paid
        assert day.profit == gained - (before_on_l1 - on_l1(wallet))

        # A settlement that is reorged out loses its refund too.
        assert orders[0].after(Fact.SETTLEMENT_REORGED, at=anvil_bridge.now).claim_refund is None


def receipt(*logs: dict[str, object]) -> dict[str, object]:
    return {"transactionHash": TX, "logs": list(logs)}


def mint(wallet: str, amount: int, address: str = BASE_TOKEN) -> dict[str, Any]:
    """Return the log of what a message gave back, as a node shows it."""
    account = "0x" + wallet[2:].lower().rjust(64, "0")
    return {
        "address": address,
        "topics": [MINT, account],
        "data": f"0x{amount:064x}",
        "blockNumber": "0x1",
        "blockHash": "0x" + "b1" * 32,
        "transactionHash": "0x" + "7a" * 32,
        "logIndex": "0x0",
    }


def test_only_what_the_base_token_mints_to_our_wallet_counts() -> None:
    stranger = "0x" + "11" * 20
    given = receipt(
        mint(WALLET, 5), mint(WALLET, 7), mint(stranger, 100), mint(WALLET, 1000, stranger)
    )
    assert _minted(TX, given, [WALLET]) == 12
    assert _minted(TX, receipt(), [WALLET]) == 0
    assert _minted(TX, None, [WALLET]) is None
