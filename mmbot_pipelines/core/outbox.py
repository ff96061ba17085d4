"""Transactions that are stored before they are broadcast.

A row holds wallet, nonce and the signed bytes, so after a crash the very same bytes
go out again, which is harmless. Whoever watches asks four questions of each row:
mined? reverted? can it still be mined? does the node know it at all?
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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


class TxState(StrEnum):
    STORED = "STORED"  # signed and stored, perhaps broadcast
    MINED = "MINED"  # status 1
    REVERTED = "REVERTED"  # status 0
    LOST = "LOST"  # its nonce was used by another transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One row of the outbox."""

    subject: str  # whose transaction it is, e.g. an order's key
    purpose: str  # e.g. "transfer"; unique with subject and attempt
    attempt: int
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

    @property
    def most(self) -> Wei:
        """Return the most this transaction can take from the wallet, in wei."""
        return Wei(self.call.value + self.gas * self.fees.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The part of a receipt that money depends on (eth_getTransactionReceipt)."""

    hash: TxHash
    succeeded: bool
    block: Block
    gas_used: Gas
    gas_price: Wei  # effectiveGasPrice, wei per gas


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction and its hash; nothing secret is in it."""

    hash: TxHash
    raw: bytes


class Chain(Protocol):
    """The chain our wallet pays on, and the wallet itself."""

    @property
    def chain_id(self) -> int: ...

    @property
    def wallet(self) -> Address: ...

    def head(self) -> Block:
        """Return the newest block."""

    def fees(self) -> Fees:
        """Price gas for the next blocks."""

    def balance(self) -> Wei:
        """Return the wallet's balance at the newest block, in wei."""

    def nonce(self, *, pending: bool) -> int:
        """Count the wallet's transactions: mined ones, or with those waiting in the pool."""

    def simulate(self, calls: Sequence[Call]) -> list[Gas | Failure]:
        """Estimate the gas of each call from the wallet, or say why it would fail."""

    def sign(self, call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        """Sign an EIP-1559 transaction."""

    def broadcast(self, raws: Sequence[bytes]) -> list[Failure | None]:
        """Hand signed transactions to the network; one it already has counts as handed over."""

    def receipts(self, hashes: Sequence[TxHash]) -> list[Receipt | None]:
        """Read receipts; None while not mined."""

    def knows(self, hashes: Sequence[TxHash]) -> list[bool]:
        """Tell which transactions the node has, mined or waiting."""

    def revert_reason(self, transaction: Transaction) -> str:
        """Replay a reverted transaction on the block before its own and decode the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a stored transaction."""

    transaction: Transaction
    state: TxState
    receipt: Receipt | None = None
    reason: str = ""


def outcomes(chain: Chain, waiting: Sequence[Transaction]) -> Iterator[Outcome]:
    """Yield what is decided about stored transactions, and send again what the node forgot.

    The nonce is read before the receipts: a transaction without receipt whose nonce was
    used by then has lost it to another one, whatever is mined in between.
    """
    if not waiting:
        return
    mined_nonces = chain.nonce(pending=False)
    unmined = []
    for row, receipt in zip(waiting, chain.receipts([t.hash for t in waiting]), strict=True):
        if receipt is None and row.nonce < mined_nonces:
            yield Outcome(
                transaction=row,
                state=TxState.LOST,
                reason=f"another transaction of the wallet used nonce {row.nonce}",
            )
        elif receipt is None:
            unmined.append(row)
        elif receipt.succeeded:
            yield Outcome(transaction=row, state=TxState.MINED, receipt=receipt)
        else:
            yield Outcome(
                transaction=row,
                state=TxState.REVERTED,
                receipt=receipt,
                reason=chain.revert_reason(row),
            )
    known = chain.knows([t.hash for t in unmined])
    forgotten = [t.raw for t, k in zip(unmined, known, strict=True) if not k]
    if forgotten:
        chain.broadcast(forgotten)
