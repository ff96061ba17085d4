"""Read what the chains hold past the bot's own adapters: by web3 and JSON-RPC alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxData

from mmbot_pipelines.bridge.audit.facts import (
    ChainFacts,
    MinedTransaction,
    OrderTerms,
    RegistryTransfer,
)
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import REGISTRIES, Deployment, ZkSyncDeployment
from mmbot_pipelines.devnet.starknet.deployment import StarknetDeployment
from mmbot_pipelines.devnet.starknet.felt import felt, joined, selector_of
from mmbot_pipelines.devnet.starknet.token import ETH

_CHUNK = 1000


class Origin(Protocol):
    """An origin's escrow and our wallet there."""

    @property
    def name(self) -> str: ...

    def orders(self) -> dict[str, OrderTerms]:
        """Return every order that the escrow logs now, by the order's key."""

    def balance(self) -> int:
        """Return the balance of our wallet there, in wei."""


class ZkSyncOrigin:
    name = "zksync"

    def __init__(self, deployed: ZkSyncDeployment) -> None:
        self._deployed = deployed
        self._w3 = connect(deployed.rpc_url)

    def orders(self) -> dict[str, OrderTerms]:
        escrow = contract(self._w3, "Escrow", self._deployed.escrow)
        logs = escrow.events.SetOrder().get_logs(from_block=self._deployed.start_block)
        return {
            f"{self.name}:{log['args']['order_id']}": OrderTerms(
                recipient=int(log["args"]["recipient_address"], 16),
                amount=log["args"]["amount"],
                fee=log["args"]["fee"],
            )
            for log in logs
        }

    def balance(self) -> int:
        return self._w3.eth.get_balance(self._deployed.wallet)


class StarknetOrigin:
    name = "starknet"

    def __init__(self, deployed: StarknetDeployment) -> None:
        self._deployed = deployed

    def orders(self) -> dict[str, OrderTerms]:
        found = {}
        for event in self._events():
            low, high, recipient, *rest = (int(word, 16) for word in event["data"])
            amount_low, amount_high, fee_low, fee_high = rest
            found[f"{self.name}:{joined(low, high)}"] = OrderTerms(
                recipient=recipient,
                amount=joined(amount_low, amount_high),
                fee=joined(fee_low, fee_high),
            )
        return found

    def balance(self) -> int:
        call = {
            "contract_address": felt(ETH),
            "entry_point_selector": felt(selector_of("balanceOf")),
            "calldata": [self._deployed.wallet],
        }
        low, high = self._request("starknet_call", call, "pre_confirmed")
        return joined(int(low, 16), int(high, 16))

    def _events(self) -> list[Any]:
        wanted = {
            "from_block": {"block_number": self._deployed.start_block},
            "to_block": "pre_confirmed",
            "address": self._deployed.escrow,
            "keys": [[felt(selector_of("SetOrder"))]],
            "chunk_size": _CHUNK,
        }
        events: list[Any] = []
        while True:
            page = self._request("starknet_getEvents", wanted)
            events += page["events"]
            if "continuation_token" not in page:
                return events
            wanted["continuation_token"] = page["continuation_token"]

    def _request(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = requests.post(self._deployed.rpc_url, json=body, timeout=30).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The wallet before the bot sent anything."""

    block: int  # newest of L1
    nonce: int
    balance: int  # on L1, wei
    origin_balances: dict[str, int]  # wei


class Chains:
    """L1 and the origins, and our wallet on each."""

    def __init__(self, deployment: Deployment, origins: Sequence[Origin]) -> None:
        self.origins = origins
        self._registry = deployment.l1.registry
        self._abi = deployment.l1.registry_abi
        self._wallet: ChecksumAddress = deployment.market_maker
        self._l1 = connect(deployment.l1.rpc_url)

    def snapshot(self) -> Snapshot:
        """Return the wallet's nonce and balances now."""
        eth = self._l1.eth
        return Snapshot(
            block=eth.block_number,
            nonce=eth.get_transaction_count(self._wallet),
            balance=eth.get_balance(self._wallet),
            origin_balances={origin.name: origin.balance() for origin in self.origins},
        )

    def facts(self, since: Snapshot) -> ChainFacts:
        """Read everything that the audit compares, from the snapshot on."""
        now = self.snapshot()
        return ChainFacts(
            locked={key: terms for o in self.origins for key, terms in o.orders().items()},
            payments=self._payments(since.block + 1),
            transactions=self._transactions(since.block + 1),
            nonces=range(since.nonce, now.nonce),
            wallet_change=now.balance - since.balance,
            origin_changes={
                name: balance - since.origin_balances[name]
                for name, balance in now.origin_balances.items()
            },
        )

    def _transactions(self, first: int) -> list[MinedTransaction]:
        """Read every transaction of our wallet from the blocks, by any sender program."""
        eth = self._l1.eth
        return [
            self._mined(given)
            for number in range(first, eth.block_number + 1)
            for given in eth.get_block(number, full_transactions=True)["transactions"]
            if not isinstance(given, HexBytes | bytes) and given["from"] == self._wallet
        ]

    def _payments(self, first: int) -> list[RegistryTransfer]:
        """Read every Transfer event of the registry."""
        registry = contract(self._l1, REGISTRIES[self._abi], self._registry)
        names = {ORIGINS[origin.name][self._abi]: origin.name for origin in self.origins}
        payments = []
        for log in registry.events.Transfer().get_logs(from_block=first):
            info = log["args"].get("transferInfo", log["args"])  # v2 has no struct
            name = names.get(info["chainId"], f"chain {info['chainId']}")
            key = f"{name}:{log['args']['orderId']}"
            payments.append(
                RegistryTransfer(
                    key=key, recipient=int(str(info["destAddress"]), 0), amount=info["amount"]
                )
            )
        return payments

    def _mined(self, given: TxData) -> MinedTransaction:
        receipt = self._l1.eth.get_transaction_receipt(given["hash"])
        return MinedTransaction(
            hash=Web3.to_hex(given["hash"]),
            nonce=given["nonce"],
            succeeded=receipt["status"] == 1,
            gas_cost=receipt["gasUsed"] * receipt["effectiveGasPrice"],
        )
