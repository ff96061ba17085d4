"""What the chains and the database hold, read past the bot: by web3 and SQL alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from sqlalchemy import create_engine, text
from web3 import Web3
from web3.types import TxData

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import Deployment, ZkSync


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a user has locked for whom."""

    recipient: int  # on L1
    amount: int  # wei
    fee: int  # wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One Transfer event of the registry."""

    key: str  # of the order, e.g. "zksync:7"
    recipient: int
    amount: int  # wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """One transaction of our wallet on L1."""

    hash: str
    nonce: int
    succeeded: bool
    value: int  # wei; it moves only when it succeeded
    gas_cost: int  # wei


class Side(Protocol):
    """An origin seen from outside."""

    @property
    def name(self) -> str: ...

    @property
    def code(self) -> int:
        """Return the origin's id inside the registry."""

    def orders(self) -> dict[str, Terms]:
        """Return every order that the escrow logs now, by the order's key."""

    def balance(self) -> int:
        """Return what our wallet has there, in wei."""


class ZkSyncSide:
    """The zkSync origin seen from outside."""

    name = "zksync"
    code = 1  # the registry's enum

    def __init__(self, deployed: ZkSync) -> None:
        self._deployed = deployed
        self._w3 = connect(deployed.rpc_url)

    def orders(self) -> dict[str, Terms]:
        escrow = contract(self._w3, "Escrow", self._deployed.escrow)
        logs = escrow.events.SetOrder().get_logs(from_block=self._deployed.start_block)
        return {
            f"{self.name}:{log['args']['order_id']}": Terms(
                recipient=int(log["args"]["recipient_address"], 16),
                amount=log["args"]["amount"],
                fee=log["args"]["fee"],
            )
            for log in logs
        }

    def balance(self) -> int:
        return self._w3.eth.get_balance(self._deployed.wallet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How things stood before the bot began."""

    block: int  # newest of L1
    nonce: int  # next of our wallet
    balance: int  # of our wallet on L1, wei
    balances: dict[str, int]  # of our wallets on the origins, wei


class Outside:
    """Both sides of the bridge, and the wallet between them."""

    def __init__(self, deployment: Deployment, sides: Sequence[Side]) -> None:
        self.sides = sides
        self._registry = deployment.l1.registry
        self._wallet: ChecksumAddress = deployment.market_maker
        self._l1 = connect(deployment.l1.rpc_url)

    def mark(self) -> Before:
        """Note how things stand now."""
        eth = self._l1.eth
        return Before(
            block=eth.block_number,
            nonce=self.nonce(),
            balance=self.balance(),
            balances={side.name: side.balance() for side in self.sides},
        )

    def balance(self) -> int:
        """Return what our wallet has on L1, in wei."""
        return self._l1.eth.get_balance(self._wallet)

    def nonce(self) -> int:
        """Count our wallet's mined transactions."""
        return self._l1.eth.get_transaction_count(self._wallet)

    def mined(self, since: Before) -> list[Mined]:
        """Read every transaction of our wallet from the blocks, whoever sent it."""
        eth = self._l1.eth
        found = []
        for number in range(since.block + 1, eth.block_number + 1):
            for given in eth.get_block(number, full_transactions=True)["transactions"]:
                if not isinstance(given, HexBytes | bytes) and given["from"] == self._wallet:
                    found.append(self._mined(given))
        return found

    def paid(self, since: Before) -> list[Paid]:
        """Read every Transfer event of the registry."""
        registry = contract(self._l1, "PaymentRegistry", self._registry)
        names = {side.code: side.name for side in self.sides}
        paid = []
        for log in registry.events.Transfer().get_logs(from_block=since.block + 1):
            info = log["args"]["transferInfo"]
            name = names.get(info["chainId"], f"chain {info['chainId']}")
            key = f"{name}:{log['args']['orderId']}"
            paid.append(Paid(key=key, recipient=info["destAddress"], amount=info["amount"]))
        return paid

    def _mined(self, given: TxData) -> Mined:
        receipt = self._l1.eth.get_transaction_receipt(given["hash"])
        return Mined(
            hash=Web3.to_hex(given["hash"]),
            nonce=given["nonce"],
            succeeded=receipt["status"] == 1,
            value=given["value"],
            gas_cost=receipt["gasUsed"] * receipt["effectiveGasPrice"],
        )


_ROWS = {
    "orders": "SELECT * FROM mmbot.orders ORDER BY origin, number",
    "events": "SELECT * FROM mmbot.order_events ORDER BY id",
    "errors": "SELECT subject, kind, run_id FROM mmbot.errors ORDER BY id",
    "transactions": "SELECT * FROM mmbot.transactions ORDER BY nonce, id",
}
_HAS_RUNS = "SELECT to_regclass('dagster.runs') IS NOT NULL"
_FAILED_RUNS = """
    SELECT r.run_id, t.key FROM dagster.runs r JOIN dagster.run_tags t USING (run_id)
    WHERE r.status = 'FAILURE' AND t.value = 'order'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The database's rows, as they are."""

    orders: Sequence[Any]
    events: Sequence[Any]
    errors: Sequence[Any]
    transactions: Sequence[Any]
    failed_runs: Sequence[tuple[str, str]]  # run id and order key, as Dagster has them


def books(database_url: str) -> Books:
    """Read all rows in one snapshot."""
    engine = create_engine(store_url(database_url), isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            read: Callable[[str], Sequence[Any]] = lambda sql: connection.execute(text(sql)).all()  # noqa: E731
            failed = read(_FAILED_RUNS) if connection.scalar(text(_HAS_RUNS)) else []
            rows = {name: read(sql) for name, sql in _ROWS.items()}
            runs = [(run, tag.replace("/", ":")) for run, tag in failed]
            return Books(**rows, failed_runs=runs)
    finally:
        engine.dispose()
