"""Blocks and transactions of the local Starknet: one block being built, and sealed ones. Pure."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmbot_pipelines.devnet.starknet.felt import l1_message_hash, pseudo_hash
from mmbot_pipelines.devnet.starknet.rpc import ErrorResponse

# By ("class" | "nonce", address) or (address, variable, keys...); never changed in place.
State = dict[tuple[Any, ...], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Message:
    """LogMessageToL2 of the L1 messaging contract."""

    from_address: int
    to_address: int
    selector: int
    payload: tuple[int, ...]
    nonce: int = 0
    l1_block: int = 0  # number
    l1_transaction: int = 0  # hash

    @property
    def hash(self) -> int:
        """Return the hash under which L1 keeps the message."""
        return l1_message_hash(
            self.from_address, self.to_address, self.nonce, self.selector, self.payload
        )

    @property
    def handler(self) -> int:
        """Return the hash of the transaction that executes its handler here."""
        return pseudo_hash("L1_HANDLER", self.hash)


@dataclass(frozen=True, slots=True)
class StarknetEvent:
    """An event that a contract emitted."""

    address: int
    keys: tuple[int, ...]
    data: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A transaction in a block, with its outcome."""

    hash: int
    events: tuple[StarknetEvent, ...]
    revert_reason: str | None
    gas: dict[str, int]  # used, by its kind
    fee: int  # in fri
    message: L1Message | None  # whose handler it is
    replay: Callable[[], object]  # executes it in the block being built, after a reorg


@dataclass(slots=True, kw_only=True)
class StarknetBlock:
    """A block and the state after it; its hash is None while it is being built."""

    number: int
    parent_hash: int
    timestamp: int  # Unix seconds
    state: State
    hash: int | None = None
    transactions: list[Executed] = field(default_factory=list)


class StarknetChain:
    """Hold the sealed blocks and the pre-confirmed one."""

    def __init__(self, genesis: State, l1_depth: int) -> None:
        """l1_depth: blocks on top of one that L1 has accepted."""
        self.sealed: list[StarknetBlock] = []
        self.building = StarknetBlock(
            number=0, parent_hash=0, timestamp=int(time.time()), state=genesis
        )
        self._branch = 0  # so that blocks after a reorg have other hashes
        self._l1_depth = l1_depth
        self._l1_accepted = 0  # block 0 is agreed on from the start
        self._places: dict[int, tuple[StarknetBlock, Executed]] = {}
        self.seal()

    def add(self, executed: Executed, writes: State) -> None:
        """Put a transaction into the block being built."""
        self.building.state = self.building.state | writes
        self.building.transactions.append(executed)
        self._places[executed.hash] = (self.building, executed)

    def seal(self) -> None:
        """Close the block being built and begin the next."""
        block = self.building
        hashes = [t.hash for t in block.transactions]
        content = (block.number, block.parent_hash, block.timestamp, self._branch, hashes)
        block.hash = pseudo_hash("block", *content)
        self.sealed.append(block)
        self._l1_accepted = max(self._l1_accepted, block.number - self._l1_depth)
        self._begin()

    def drop(self, depth: int) -> list[StarknetBlock]:
        """Remove the block being built and the last `depth` sealed ones, and return them.

        Those that L1 has accepted stay.
        """
        first = max(self.building.number - depth, self._l1_accepted + 1)
        dropped = [*self.sealed[first:], self.building]
        del self.sealed[first:]
        for executed in (t for block in dropped for t in block.transactions):
            del self._places[executed.hash]
        self._branch += 1
        self._begin()
        return dropped

    def block(self, block_id: Any) -> StarknetBlock:
        """Find a block by its BLOCK_ID in the specification.

        Raises:
            RpcError: BLOCK_NOT_FOUND.
        """
        match block_id:
            case "pre_confirmed":
                return self.building
            case "latest":
                return self.sealed[-1]
            case "l1_accepted":
                return self.sealed[self._l1_accepted]
            case {"block_number": int(number)} if 0 <= number < len(self.sealed):
                return self.sealed[number]
            case {"block_hash": str(wanted)}:
                for block in reversed(self.sealed):
                    if block.hash == int(wanted, 16):
                        return block
        raise ErrorResponse("BLOCK_NOT_FOUND")

    def place(self, transaction_hash: int) -> tuple[StarknetBlock, Executed]:
        """Find a transaction and its block.

        Raises:
            RpcError: TXN_HASH_NOT_FOUND.
        """
        if transaction_hash not in self._places:
            raise ErrorResponse("TXN_HASH_NOT_FOUND")
        return self._places[transaction_hash]

    def knows(self, transaction_hash: int) -> bool:
        return transaction_hash in self._places

    def finality(self, block: StarknetBlock) -> str:
        """Return TXN_FINALITY_STATUS, which is also BLOCK_STATUS."""
        if block.hash is None:
            return "PRE_CONFIRMED"
        return "ACCEPTED_ON_L1" if block.number <= self._l1_accepted else "ACCEPTED_ON_L2"

    def _begin(self) -> None:
        parent = self.sealed[-1]
        self.building = StarknetBlock(
            number=parent.number + 1,
            parent_hash=parent.hash or 0,
            timestamp=max(int(time.time()), parent.timestamp),
            state=parent.state,
        )
