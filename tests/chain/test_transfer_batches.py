"""Batches of our delegated account on the local chains (MMBOT_BATCH=eip7702).

Anvil takes any number of transactions of a delegated account; geth and reth keep one. So a node
stands in front of it that refuses a second one, as they do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]
from eth_account import Account

from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.evm.delegation import DeployedBatchContract
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.chain.anvil_bridge import AnvilBridge
from tests.chaos.chain_faults import alternating_recipient
from tests.chaos.faulty_rpc import FaultyRpc
from tests.devnet.bridge import Devnet, running
from tests.devnet.delegated import delegate, set_target
from tests.ports.port_harness import on_anvil
from tests.postgres import clean_engine


class OneInFlight(FaultyRpc):
    """A node that keeps one transaction of our account while it has code."""

    def __init__(self, upstream: str, account: Address) -> None:
        super().__init__(upstream)
        self.account = account
        self.refused = 0

    async def _ask(self, body: Any) -> Any:
        if isinstance(body, list):
            return [await self._ask(question) for question in body]
        if body["method"] == "eth_sendRawTransaction" and await self._is_second(body):
            self.refused += 1
            error = "in-flight transaction limit reached for delegated accounts"
            return {"id": body["id"], "error": {"code": -32000, "message": error}}
        return await super()._ask(body)

    async def _is_second(self, body: Any) -> bool:
        raw = bytes.fromhex(body["params"][0][2:])
        nonce = int.from_bytes(rlp.decode(raw[1:])[1])
        pending, latest = [
            int(await self._state("eth_getTransactionCount", tag), 16)
            for tag in ("pending", "latest")
        ]
        return await self._state("eth_getCode", "latest") != "0x" and latest < pending <= nonce

    async def _state(self, method: str, tag: str) -> str:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [self.account, tag]}
        return str((await super()._ask(asked))["result"])


@dataclass
class Delegated:
    """A bridge whose account is delegated, behind a node that keeps one transaction of it."""

    bridge: AnvilBridge
    devnet: Devnet
    node: OneInFlight

    def rows(self) -> list[Transaction]:
        outbox = self.bridge.store.outbox
        return [*outbox.mined_since(0), *outbox.in_flight()]

    def paid(self, keys: list[str]) -> list[bool]:
        orders = [self.bridge.order(key) for key in keys]
        return self.bridge.ports.registry.used(orders)

    def go_on(self, keys: list[str], status: Status) -> None:
        """Take orders and receipts on, as the sensors do, until all have come to a status."""
        for _ in range(len(keys) + 3):
            self.bridge.retry()
            paid = steps.take_orders(self.bridge.bridge, [Status.FULFILLED])
            self.bridge.repay([order.key for order in paid])
            self.bridge.mine()
            if status is Status.COMPLETED:
                self.bridge.settle()
            if {self.bridge.order(key).status for key in keys} == {status}:
                return
        raise AssertionError([self.bridge.order(key) for key in keys])


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        delegate(devnet.deployment)
        yield devnet


@pytest.fixture
def delegated(devnet: Devnet) -> Iterator[Delegated]:
    maker = devnet.deployment.market_maker
    url = devnet.deployment.l1.rpc_url
    with on_anvil(devnet) as ports, OneInFlight(url, maker) as node:
        bridge = AnvilBridge(ports, clean_engine())
        rpc = Rpc([node.url], chain="L1", chain_id=devnet.deployment.l1.chain_id)
        chain = EthereumChain(rpc, LocalSigner(devnet.deployment.private_key))
        contract = DeployedBatchContract(rpc)
        bridge.bridge = replace(bridge.bridge, chain=chain, batch_contract=contract)
        yield Delegated(bridge, devnet, node)
        assert node.refused == 0


def test_a_burst_is_paid_in_one_transaction_and_claimed(delegated: Delegated) -> None:
    bridge = delegated.bridge
    before = bridge.balance_of(bridge.wallet)
    keys = [bridge.find(recipient=Account.create().address)[0] for _ in range(12)]
    bridge.transfer(keys)
    (row,) = delegated.rows()
    assert len(row.batch) == 12
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert all(delegated.paid(keys))
    (row,) = delegated.rows()
    assert row.gas_used is not None
    assert row.gas_used < 12 * 125_000
    left = before - bridge.balance_of(bridge.wallet)
    spent = bridge.bridge.accounts.spent(
        row.chain_id, row.wallet, first=row.nonce, end=row.nonce + 1
    )
    assert left == spent
    bridge.repay(keys)
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.PROVED}
    _, claims = delegated.rows()
    assert (claims.purpose, len(claims.batch)) == ("repay", 12)
    delegated.go_on(keys, Status.COMPLETED)


def test_payments_and_claims_of_one_transaction(delegated: Delegated) -> None:
    bridge = delegated.bridge
    rules = replace(bridge.bridge.rules, claim_with_transfer=True)
    bridge.bridge = replace(bridge.bridge, rules=rules)
    delegated.go_on(first := bridge.find(1), Status.COMPLETED)
    hostile = Address(alternating_recipient(delegated.devnet.l1))
    keys = [*bridge.find(2), *bridge.find(recipient=hostile), *bridge.find(2)]
    before = bridge.balance_of(bridge.wallet)
    bridge.transfer(keys)
    row = delegated.rows()[-1]
    assert [part.purpose for part in row.batch] == ["transfer", "repay"] * 5
    bridge.mine()
    row = delegated.rows()[-1]
    failed = [part.subject for part in row.batch if part.failed]
    assert failed == [keys[2]] * 2
    proved = [bridge.order(key).status is Status.PROVED for key in keys]
    assert proved == [True, True, False, True, True]
    assert bridge.order(keys[2]).is_parked
    left = before - bridge.balance_of(bridge.wallet)
    accounts, end = bridge.bridge.accounts, row.nonce + 1
    assert left == accounts.spent(row.chain_id, row.wallet, first=row.nonce, end=end)
    delegated.go_on([*first, *keys[:2], *keys[3:]], Status.COMPLETED)


def test_a_delegation_removed_before_mining_pays_nobody_and_is_seen(delegated: Delegated) -> None:
    bridge = delegated.bridge
    keys = bridge.find(3)
    bridge.transfer(keys)
    set_target(delegated.devnet.deployment, None)
    bridge.mine()
    (row,) = delegated.rows()
    assert (row.state, {part.failed for part in row.batch}) == (TxState.MINED, {True})
    assert {bridge.order(key).status for key in keys} == {Status.PROCESSING}
    assert not any(delegated.paid(keys))
    assert bridge.store.orders.exposure() == 0
    delegated.go_on(keys, Status.FULFILLED)
    assert all(delegated.paid(keys))


def test_a_recipient_that_refuses_when_mined_is_parked_alone(delegated: Delegated) -> None:
    bridge = delegated.bridge
    hostile = Address(alternating_recipient(delegated.devnet.l1))
    keys = [*bridge.find(2), *bridge.find(recipient=hostile), *bridge.find(2)]
    bridge.transfer(keys)
    (row,) = delegated.rows()
    assert len(row.batch) == 5
    bridge.mine()
    assert delegated.paid(keys) == [True, True, False, True, True]
    fulfilled = [bridge.order(key).status is Status.FULFILLED for key in keys]
    assert fulfilled == [True, True, False, True, True]
    refused = bridge.order(keys[2])
    assert refused.is_parked
    assert "RecipientRefused" in (refused.reason or "")


def test_the_next_batch_collects_behind_a_node_that_takes_one(delegated: Delegated) -> None:
    bridge = delegated.bridge
    first = bridge.find(3)
    bridge.transfer(first)
    second = bridge.find(4)
    bridge.transfer(second)
    assert len(bridge.store.outbox.in_flight()) == 1
    delegated.go_on([*first, *second], Status.FULFILLED)
    sizes = [len(row.batch) for row in delegated.rows() if row.is_self_call]
    assert sizes == [3, 4]
    delegated.go_on([*first, *second], Status.COMPLETED)


def test_a_stuck_batch_is_replaced_behind_a_node_that_takes_one(delegated: Delegated) -> None:
    bridge = delegated.bridge
    keys = bridge.find(3)
    bridge.transfer(keys)
    bridge.replace_stuck(after=70)
    assert len(bridge.store.outbox.in_flight()) == 2
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert all(delegated.paid(keys))


def test_a_batch_is_cancelled_by_an_account_with_code(delegated: Delegated) -> None:
    bridge = delegated.bridge
    keys = bridge.find(2)
    bridge.transfer(keys)
    bridge.ports.pause()
    bridge.replace_stuck(after=70)
    bridge.mine()
    cancel = delegated.rows()[-1]
    assert (cancel.purpose, cancel.state) == ("cancel", TxState.MINED)
    assert {bridge.order(key).status for key in keys} == {Status.PROCESSING}
    assert not any(delegated.paid(keys))


def test_a_second_transaction_that_a_node_refuses_goes_later(delegated: Delegated) -> None:
    bridge = delegated.bridge
    one_by_one = replace(bridge.bridge, batch_contract=None)
    keys = bridge.find(2)
    steps.transfer(one_by_one, keys, bridge.run)
    assert delegated.node.refused == 1
    errors = [entry for key in keys for entry in bridge.store.errors.of(key)]
    assert errors == []
    delegated.go_on(keys, Status.FULFILLED)
    assert all(delegated.paid(keys))
    delegated.node.refused = 0


def test_a_reorged_batch_goes_again(delegated: Delegated) -> None:
    bridge = delegated.bridge
    keys = bridge.find(3)
    bridge.transfer(keys)
    bridge.mine()
    bridge.ports.reorg_l1(1)
    bridge.look()
    assert {bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert all(delegated.paid(keys))
