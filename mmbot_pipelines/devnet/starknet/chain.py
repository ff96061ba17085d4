"""Blocks, transactions and gas of the local Starknet: one block being built, and sealed ones."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starknet_py.hash.transaction import (
    CommonTransactionV3Fields,
    TransactionHashPrefix,
    compute_invoke_v3_transaction_hash,
    compute_transaction_hash,
)
from starknet_py.net.client_models import DAMode, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.devnet.starknet.felt import l1_message_hash, pseudo_hash
from mmbot_pipelines.devnet.starknet.gas import GAS, Resources

Call = tuple[int, int, Sequence[int]]  # contract, selector, arguments
# By ("class" | "nonce", address) or (address, variable, keys...); never changed in place.
State = dict[tuple[Any, ...], Any]
_UNBOUNDED = ResourceBounds(max_amount=2**64 - 1, max_price_per_unit=0)

_ERRORS = {
    "CONTRACT_NOT_FOUND": (20, "Contract not found"),
    "ENTRYPOINT_NOT_FOUND": (21, "Requested entry point does not exist in the contract"),
    "BLOCK_NOT_FOUND": (24, "Block not found"),
    "TXN_HASH_NOT_FOUND": (29, "Transaction hash not found"),
    "PAGE_SIZE_TOO_BIG": (31, "Requested page size is too big"),
    "INVALID_CONTINUATION_TOKEN": (33, "The supplied continuation token is invalid or unknown"),
    "CONTRACT_ERROR": (40, "Contract error"),
    "TRANSACTION_EXECUTION_ERROR": (41, "Transaction execution error"),
    "INVALID_TRANSACTION_NONCE": (52, "Invalid transaction nonce"),
    "INSUFFICIENT_RESOURCES_FOR_VALIDATE": (
        53,
        "The transaction's resources don't cover validation or the minimal transaction fee",
    ),
    "INSUFFICIENT_ACCOUNT_BALANCE": (
        54,
        "Account balance is smaller than the transaction's maximal fee "
        "(calculated as the sum of each resource's limit x max price)",
    ),
    "VALIDATION_FAILURE": (55, "Account validation failed"),
    "NON_ACCOUNT": (58, "Sender address is not an account contract"),
    "DUPLICATE_TX": (59, "A transaction with the same hash already exists in the mempool"),
    "UNSUPPORTED_TX_VERSION": (61, "the transaction version is not supported"),
    "PARSE_ERROR": (-32700, "Parse error"),
    "INVALID_REQUEST": (-32600, "Invalid Request"),
    "METHOD_NOT_FOUND": (-32601, "Method not found"),
    "INVALID_PARAMS": (-32602, "Invalid params"),
    "INTERNAL_ERROR": (-32603, "Internal error"),
}


class RpcError(Exception):
    """A published error, by its name in the specification."""

    def __init__(self, name: str, data: Any = None) -> None:
        self.name = name
        self.code, self.message = _ERRORS[name]
        self.data = data
        super().__init__(f"{self.code} {self.message}" + ("" if data is None else f": {data}"))

    def body(self) -> dict[str, Any]:
        """Return the error object of the JSON-RPC answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        return error if self.data is None else error | {"data": self.data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """INVOKE_TXN_V3: an account's signed calls."""

    sender: int
    calldata: tuple[int, ...]
    nonce: int
    version: int = 3
    signature: tuple[int, ...] = ()
    bounds: ResourceBoundsMapping = field(
        default_factory=lambda: ResourceBoundsMapping(_UNBOUNDED, _UNBOUNDED, _UNBOUNDED)
    )
    tip: int = 0
    nonce_mode: DAMode = DAMode.L1
    fee_mode: DAMode = DAMode.L1

    def hash(self, chain_id: int) -> int:
        """Return the hash that the account signs (Starknet docs, invoke v3)."""
        common = CommonTransactionV3Fields(
            tx_prefix=TransactionHashPrefix.INVOKE,
            version=self.version,
            address=self.sender,
            tip=self.tip,
            resource_bounds=self.bounds,
            paymaster_data=[],
            chain_id=chain_id,
            nonce=self.nonce,
            nonce_data_availability_mode=self.nonce_mode,
            fee_data_availability_mode=self.fee_mode,
        )
        return compute_invoke_v3_transaction_hash(
            account_deployment_data=[],
            calldata=list(self.calldata),
            common_fields=common,
            proof_facts=[],
        )

    def max_fee(self) -> int:
        """Return the sum of each resource's limit times its highest price, in fri."""
        bounds: list[ResourceBounds] = [getattr(self.bounds, gas) for gas in GAS]
        tip = self.tip * self.bounds.l2_gas.max_amount
        return tip + sum(b.max_amount * b.max_price_per_unit for b in bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Message:
    """LogMessageToL2 of the L1 messaging contract."""

    from_address: int
    to_address: int
    selector: int
    payload: tuple[int, ...]
    nonce: int
    fee: int = 0  # wei
    l1_transaction: int = 0  # hash

    @property
    def hash(self) -> int:
        """Return the hash under which L1 keeps the message."""
        return l1_message_hash(
            self.from_address, self.to_address, self.nonce, self.selector, self.payload
        )

    @property
    def calldata(self) -> tuple[int, ...]:
        """Return the l1_handler's arguments: the sender on L1 comes first."""
        return (self.from_address, *self.payload)

    def transaction_hash(self, chain_id: int) -> int:
        """Return the hash of the L1_HANDLER transaction (Starknet docs: version 0, no fee)."""
        return compute_transaction_hash(
            tx_hash_prefix=TransactionHashPrefix.L1_HANDLER,
            version=0,
            contract_address=self.to_address,
            entry_point_selector=self.selector,
            calldata=self.calldata,
            max_fee=0,
            chain_id=chain_id,
            additional_data=[self.nonce],
        )


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a contract emitted."""

    address: int
    keys: tuple[int, ...]
    data: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A transaction in a block, with its outcome."""

    hash: int
    source: Invoke | L1Message
    events: tuple[Event, ...]
    revert_reason: str | None
    resources: Resources
    fee: int  # in fri for an invoke; an l1_handler's is paid on L1
    forced_failure: str | None = None  # `devnet_setDelivery` made it fail


@dataclass(slots=True, kw_only=True)
class Block:
    """A block and the state after it; its hash is None while it is being built."""

    number: int
    parent_hash: int
    timestamp: int  # Unix seconds
    state: State
    hash: int | None = None
    transactions: list[Executed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BlockId:
    """BLOCK_ID of the specification: exactly one of the three is set."""

    tag: str | None = None
    number: int | None = None
    hash: int | None = None


class Chain:
    """Hold the sealed blocks and the pre-confirmed one."""

    def __init__(self, genesis: State, l1_depth: int) -> None:
        self.sealed: list[Block] = []
        self.building = Block(number=0, parent_hash=0, timestamp=int(time.time()), state=genesis)
        self._branch = 0  # so that blocks after a reorg have other hashes
        self._l1_depth = l1_depth
        self._l1_accepted = 0  # block 0 is agreed on from the start
        self._places: dict[int, tuple[Block, Executed]] = {}
        self._handlers: dict[int, int] = {}
        self.seal()

    @property
    def latest(self) -> Block:
        return self.sealed[-1]

    def add(self, executed: Executed, writes: State) -> None:
        """Put a transaction into the block being built."""
        self.building.state = self.building.state | writes
        self.building.transactions.append(executed)
        self._places[executed.hash] = (self.building, executed)
        if isinstance(executed.source, L1Message):
            self._handlers[executed.source.hash] = executed.hash

    def seal(self) -> None:
        """Close the block being built and begin the next."""
        block = self.building
        hashes = [t.hash for t in block.transactions]
        content = (block.number, block.parent_hash, block.timestamp, self._branch, hashes)
        block.hash = pseudo_hash("block", *content)
        self.sealed.append(block)
        self._l1_accepted = max(self._l1_accepted, block.number - self._l1_depth)
        self._begin()

    def drop(self, depth: int) -> list[Block]:
        """Remove the block being built and the last `depth` sealed ones, and return them.

        Raises:
            RpcError: L1 has already accepted one of them.
        """
        first = self.building.number - depth
        if first <= self._l1_accepted:
            reason = f"block {first} cannot be dropped: L1 accepted {self._l1_accepted}"
            raise RpcError("INVALID_PARAMS", {"reason": reason})
        dropped = [*self.sealed[first:], self.building]
        del self.sealed[first:]
        for executed in (t for block in dropped for t in block.transactions):
            del self._places[executed.hash]
            if isinstance(executed.source, L1Message):
                self._handlers.pop(executed.source.hash, None)
        self._branch += 1
        self._begin()
        return dropped

    def block(self, block_id: BlockId) -> Block:
        """Find a block.

        Raises:
            RpcError: BLOCK_NOT_FOUND.
        """
        if block_id.tag is not None:
            tags = {"latest": self.latest, "l1_accepted": self.sealed[self._l1_accepted]}
            return tags.get(block_id.tag, self.building)
        if block_id.number is not None and block_id.number < len(self.sealed):
            return self.sealed[block_id.number]
        for block in reversed(self.sealed):
            if block.hash == block_id.hash:
                return block
        raise RpcError("BLOCK_NOT_FOUND")

    def place(self, transaction_hash: int) -> tuple[Block, Executed]:
        """Find a transaction and its block.

        Raises:
            RpcError: TXN_HASH_NOT_FOUND.
        """
        if transaction_hash not in self._places:
            raise RpcError("TXN_HASH_NOT_FOUND")
        return self._places[transaction_hash]

    def knows(self, transaction_hash: int) -> bool:
        return transaction_hash in self._places

    def handler_of(self, message_hash: int) -> int | None:
        """Return the hash of the transaction that an L1 message became, if any."""
        return self._handlers.get(message_hash)

    def finality(self, block: Block) -> str:
        """Return TXN_FINALITY_STATUS, which is also BLOCK_STATUS."""
        if block.hash is None:
            return "PRE_CONFIRMED"
        return "ACCEPTED_ON_L1" if block.number <= self._l1_accepted else "ACCEPTED_ON_L2"

    def _begin(self) -> None:
        parent = self.latest
        self.building = Block(
            number=parent.number + 1,
            parent_hash=parent.hash or 0,
            timestamp=max(int(time.time()), parent.timestamp),
            state=parent.state,
        )
