"""Transactions that are stored before they are broadcast.

A row holds wallet, nonce and the signed bytes, so a process that restarts broadcasts the same
bytes again, which is idempotent. Several rows may share a nonce: a replacement with higher
fees follows the first, and the chain mines one of them at most. What became of them: `outcomes`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Protocol

from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a transaction shall do on chain."""

    to: Address
    data: bytes
    value: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """EIP-1559 prices in wei per gas."""

    base: Wei  # the highest that the next block can ask
    priority: Wei
    ceiling: Wei  # maxFeePerGas: what we sign

    @property
    def expected(self) -> Wei:
        """Return what a unit of gas costs in the next block, in wei."""
        return Wei(self.base + self.priority)


# The purpose of a transaction that changes the wallet's own code; it uses the next nonce, too.
DELEGATE = "delegate"

# How the reason of a revert begins that no replay shows.
UNKNOWN = "unknown: "


class TxState(StrEnum):
    STORED = "STORED"  # signed and stored, perhaps broadcast
    MINED = "MINED"  # status 1
    REVERTED = "REVERTED"  # status 0
    LOST = "LOST"  # its nonce was used by a transaction that is not ours
    REPLACED = "REPLACED"  # another one of ours was mined at its nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a transaction does for one subject, of several that it serves."""

    subject: str
    purpose: str
    attempt: int
    value: Wei  # that leaves the wallet for it
    failed: bool = False  # its call did nothing in the transaction that was mined


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One row of the outbox."""

    subject: str  # whose transaction it is, e.g. an order's key; of a batch, its name
    purpose: str  # e.g. "transfer"; unique with subject, attempt and bump
    attempt: int
    bump: int = 0  # how many of ours came before it at its nonce
    chain_id: int
    wallet: Address
    nonce: int
    hash: TxHash
    raw: bytes  # signed EIP-1559 envelope
    call: Call
    gas: Gas
    fees: Fees
    stored_at: datetime  # UTC
    state: TxState = TxState.STORED
    block: Block | None = None
    gas_used: Gas | None = None
    gas_price: Wei | None = None  # effectiveGasPrice, wei per gas
    # What its message gave back on the L2 when it failed there; 0: it did not; None: unknown.
    refund: Wei | None = None
    batch: tuple[Part, ...] = ()  # whom it serves, where that is not its subject alone

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return what it does for each whom it serves, be it one alone."""
        alone = Part(
            subject=self.subject,
            purpose=self.purpose,
            attempt=self.attempt,
            value=self.call.value,
        )
        return self.batch or (alone,)

    def serves(self, subject: str, purpose: str, attempt: int | None = None) -> bool:
        """Return whether it does this for a subject, or may; attempt: None stands for any."""
        return any(
            (part.subject, part.purpose) == (subject, purpose)
            and attempt in (None, part.attempt)
            and not part.failed
            for part in self.parts
        )

    @property
    def max_cost(self) -> Wei:
        """Return the most this transaction can take from the wallet, in wei."""
        return max_cost(self.call, self.gas, self.fees, self.batch)

    @property
    def has_one_call(self) -> bool:
        """Return whether it makes one call for all whom it serves, where they are several."""
        return bool(self.batch) and not self.is_self_call

    @property
    def is_self_call(self) -> bool:
        """Return whether the wallet's own code makes the calls of its parts (EIP-7702).

        Without that code it does nothing and succeeds.
        """
        return bool(self.batch and self.call.data) and self.call.to == self.wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a contract has logged in a transaction."""

    address: Address
    topics: tuple[bytes, ...]  # the event's signature hash first
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The part of a receipt that money depends on (eth_getTransactionReceipt)."""

    hash: TxHash
    succeeded: bool
    block: Block
    gas_used: Gas
    gas_price: Wei  # effectiveGasPrice, wei per gas
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction and its hash; nothing secret is in it."""

    hash: TxHash
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A wallet as one block has it."""

    nonce: int  # transactions of it that are mined
    balance: Wei
    block: Block | None  # None: not known


class Chain(Protocol):
    """The chain our wallet pays on, and the wallet itself."""

    @property
    def chain_id(self) -> int: ...

    @property
    def wallet(self) -> Address: ...

    def head(self) -> Block:
        """Return the newest block."""

    def has_block(self, block: Block) -> bool:
        """Return whether the chain has this very block now.

        Raises:
            Failure: no block of its number is there, or nobody could be asked.
        """

    def fees(self) -> Fees:
        """Price gas for the next blocks."""

    def balance(self) -> Wei:
        """Return the wallet's balance at the newest block, in wei."""

    def account(self) -> Account:
        """Return the wallet's count of mined transactions and its balance, at one block."""

    def nonce(self, *, pending: bool) -> int:
        """Count the wallet's transactions: mined ones, or with those waiting in the pool."""

    def simulate(
        self, calls: Sequence[Call], fees: Fees, balance: Wei | None = None
    ) -> list[Gas | Failure]:
        """Return the gas that each call from the wallet needs, or the failure it would end in.

        fees: those that will be signed, for a contract can read its transaction's price.
            A wallet that cannot pay a call's value and gas at them is `InsufficientFunds`.
        balance: the wallet's, in wei, of now; it is read where it is not given.
        """

    def sign(self, call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        """Sign an EIP-1559 transaction."""

    def broadcast(self, raws: Sequence[bytes]) -> list[Failure | None]:
        """Hand signed transactions to the network; one it already has counts as handed over."""

    def receipts(self, hashes: Sequence[TxHash]) -> list[Receipt | None]:
        """Read receipts; None while not mined."""

    def known_by_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        """Return which transactions the node has, mined or waiting."""

    def known_by_any_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        """Return which transactions any node at all has, mined or waiting: each is asked."""

    def revert_reason(self, transaction: Transaction) -> str:
        """Replay a reverted transaction on the block before its own and decode the reason.

        It starts with UNKNOWN where the replay does not revert, or cannot be had.
        """

    def has_code(self, account: Address, block: int) -> bool:
        """Return whether an account had code before or after block `block`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a nonce: its transaction, and with it every other one of ours."""

    transaction: Transaction  # the one that was mined, or the newest
    state: TxState
    receipt: Receipt | None = None
    reason: str = ""
    rivals: Sequence[Transaction] = ()  # ours at the same nonce: lost with it, or REPLACED

    @property
    def subjects(self) -> list[str]:
        """Name all whom the nonce's rows serve, those of the mined or newest one first."""
        rows = (self.transaction, *self.rivals)
        return list(dict.fromkeys(part.subject for row in rows for part in row.parts))

    def misses_any_of(self, rivals: Iterable[TxHash]) -> bool:
        """Return whether a nonce judged LOST may have been used by one of these instead."""
        known = {row.hash for row in self.rivals}
        return self.state is TxState.LOST and not known.issuperset(rivals)


def by_nonce(rows: Iterable[Transaction]) -> list[list[Transaction]]:
    """Group transactions that exclude each other: by wallet and nonce, the oldest first."""
    ordered = sorted(rows, key=lambda t: (*_place(t), t.bump))
    return [list(group) for _, group in groupby(ordered, key=_place)]


def max_cost(call: Call, gas: Gas, fees: Fees, batch: Sequence[Part] = ()) -> Wei:
    """Return the most a transaction can take from the wallet, in wei.

    A call to the wallet itself carries nothing: what leaves it is in the calls that it makes.
    """
    value = max(call.value, sum(part.value for part in batch))
    return Wei(value + gas * fees.ceiling)


def by_wallet(rows: Iterable[Transaction]) -> dict[Address, list[Transaction]]:
    """Group transactions by the wallet that sends them, in the order in which they come."""
    groups: dict[Address, list[Transaction]] = {}
    for row in rows:
        groups.setdefault(row.wallet, []).append(row)
    return groups


def max_total_cost(rows: Iterable[Transaction]) -> Wei:
    """Return the most that these transactions can take from the wallet together, in wei."""
    return Wei(sum(max(row.max_cost for row in group) for group in by_nonce(rows)))


def _place(row: Transaction) -> tuple[int, str, int]:
    return row.chain_id, row.wallet, row.nonce
