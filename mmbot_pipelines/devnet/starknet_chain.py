"""Blocks of the local Starknet: one being built, the sealed ones, and what they hold."""

import time
from dataclasses import dataclass, field

from mmbot_pipelines.devnet.starknet_errors import RpcError
from mmbot_pipelines.devnet.starknet_execution import Event
from mmbot_pipelines.devnet.starknet_felt import pseudo_hash
from mmbot_pipelines.devnet.starknet_history import History
from mmbot_pipelines.devnet.starknet_transactions import Invoke, L1Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Gas that one transaction used."""

    l1_gas: int
    l1_data_gas: int
    l2_gas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A transaction in a block, with what came of it."""

    hash: int
    source: Invoke | L1Message
    events: tuple[Event, ...]
    revert_reason: str | None
    resources: Resources
    fee: int  # in fri for an invoke; an l1_handler's is paid on L1
    forced_failure: str | None = None  # the devnet was told to let it fail

    @property
    def message_hash(self) -> int | None:
        """Return the hash of the L1 message that caused it, if one did."""
        return self.source.hash if isinstance(self.source, L1Message) else None


@dataclass(slots=True, kw_only=True)
class Block:
    """A block; its hash is None while it is being built."""

    number: int
    parent_hash: int
    timestamp: int  # Unix seconds
    hash: int | None = None
    transactions: list[Executed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BlockId:
    """BLOCK_ID of the specification: exactly one of the three is set."""

    tag: str | None = None
    number: int | None = None
    hash: int | None = None


class Chain:
    """Hold sealed blocks, the pre-confirmed one, and the state after each."""

    def __init__(self, l1_depth: int) -> None:
        self.history = History()
        self.sealed: list[Block] = []
        self.building = Block(number=0, parent_hash=0, timestamp=int(time.time()))
        self.branch = 0  # tells the hashes of blocks apart that a reorg has replaced
        self._l1_depth = l1_depth
        self._l1_accepted = 0  # block 0 is agreed on from the start
        self._places: dict[int, tuple[Block, int]] = {}
        self._hashes: dict[int, Block] = {}
        self._handlers: dict[int, int] = {}

    @property
    def latest(self) -> Block:
        return self.sealed[-1]

    @property
    def l1_accepted(self) -> Block:
        return self.sealed[self._l1_accepted]

    def add(self, executed: Executed) -> None:
        """Put a transaction into the block being built."""
        self._places[executed.hash] = (self.building, len(self.building.transactions))
        self.building.transactions.append(executed)
        if executed.message_hash is not None:
            self._handlers[executed.message_hash] = executed.hash

    def seal(self) -> Block:
        """Close the block being built and begin the next."""
        block = self.building
        hashes = [t.hash for t in block.transactions]
        content = (block.number, block.parent_hash, block.timestamp, self.branch, hashes)
        block.hash = pseudo_hash("block", *content)
        self.sealed.append(block)
        self._hashes[block.hash] = block
        self._l1_accepted = max(self._l1_accepted, block.number - self._l1_depth)
        self._begin()
        return block

    def drop(self, depth: int) -> list[Block]:
        """Take back the block being built and the last `depth` sealed ones.

        Raises:
            RpcError: L1 has already accepted one of them.
        """
        first = self.building.number - depth
        if first <= self._l1_accepted:
            reason = f"block {first} cannot be dropped: L1 accepted {self._l1_accepted}"
            raise RpcError("INVALID_PARAMS", {"reason": reason})
        dropped = [*self.sealed[first:], self.building]
        del self.sealed[first:]
        self.history.drop_from(first)
        for block in dropped:
            self._hashes.pop(block.hash or 0, None)
            for executed in block.transactions:
                del self._places[executed.hash]
                self._handlers.pop(executed.message_hash or 0, None)
        self.branch += 1
        self._begin()
        return dropped

    def block(self, block_id: BlockId) -> Block:
        """Find a block.

        Raises:
            RpcError: BLOCK_NOT_FOUND.
        """
        tags = {"latest": self.latest, "l1_accepted": self.l1_accepted}
        if block_id.tag is not None:
            return tags.get(block_id.tag, self.building)
        if block_id.number is not None and block_id.number <= self.latest.number:
            return self.sealed[block_id.number]
        if block_id.hash is not None and block_id.hash in self._hashes:
            return self._hashes[block_id.hash]
        raise RpcError("BLOCK_NOT_FOUND")

    def place(self, transaction_hash: int) -> tuple[Block, int]:
        """Find a transaction's block and its index there.

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
        parent = self.sealed[-1]
        self.building = Block(
            number=parent.number + 1,
            parent_hash=parent.hash or 0,
            timestamp=max(int(time.time()), parent.timestamp),
        )
