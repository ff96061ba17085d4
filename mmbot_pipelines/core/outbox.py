"""Transactions that are stored before they are broadcast.

A row holds wallet, nonce and the signed bytes, so a process that restarts broadcasts the same
bytes again, which is idempotent. Several rows may share a nonce: a replacement with higher
fees follows the first, and the chain mines one of them at most. Four questions decide about
a nonce: mined? reverted? can it still be mined? does the node know it at all?
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Protocol

from mmbot_pipelines.core.errors import Failure, TryAgain
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.retry import Rebroadcasts


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


# How the reason of a revert begins that no replay shows.
UNKNOWN = "unknown: "


class TxState(StrEnum):
    STORED = "STORED"  # signed and stored, perhaps broadcast
    MINED = "MINED"  # status 1
    REVERTED = "REVERTED"  # status 0
    LOST = "LOST"  # its nonce was used by a transaction that is not ours
    REPLACED = "REPLACED"  # another one of ours was mined at its nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One row of the outbox."""

    subject: str  # whose transaction it is, e.g. an order's key
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

    @property
    def max_cost(self) -> Wei:
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

    def misses_any_of(self, rivals: Iterable[TxHash]) -> bool:
        """Return whether a nonce judged LOST may have been used by one of these instead."""
        known = {row.hash for row in self.rivals}
        return self.state is TxState.LOST and not known.issuperset(rivals)


def by_nonce(rows: Iterable[Transaction]) -> list[list[Transaction]]:
    """Group transactions that exclude each other: by wallet and nonce, the oldest first."""
    ordered = sorted(rows, key=lambda t: (*_place(t), t.bump))
    return [list(group) for _, group in groupby(ordered, key=_place)]


def max_total_cost(rows: Iterable[Transaction]) -> Wei:
    """Return the most that these transactions can take from the wallet together, in wei."""
    return Wei(sum(max(row.max_cost for row in group) for group in by_nonce(rows)))


def _place(row: Transaction) -> tuple[int, str, int]:
    return row.chain_id, row.wallet, row.nonce


def outcomes(
    chain: Chain,
    waiting: Sequence[Transaction],
    rebroadcasts: Rebroadcasts,
    at: datetime,
    still_wanted: Callable[[Sequence[Transaction]], Sequence[Transaction]],
) -> Iterator[Outcome]:
    """Yield what is decided about stored transactions, and send again what the node forgot.

    rebroadcasts: one transaction is sent again no more often than these allow.
    still_wanted: which of those that no node has are sent now.

    What is mined comes first, the lowest nonce before the others. The nonce is read before
    the receipts: rows without a receipt whose nonce was used by then have lost it to another
    one, whatever is mined in between. But one URL may be of several nodes, and what one has
    mined another may still have in its pool: a row that is known at all is not lost. Of those
    that share a nonce only the newest is sent again: it is what nodes prefer.
    """
    if not waiting:
        return
    mined_nonces = chain.nonce(pending=False)
    hashes = [row.hash for row in waiting]
    receipts = dict(zip(hashes, chain.receipts(hashes), strict=True))
    left = []
    for rows in by_nonce(waiting):
        mined = next((row for row in rows if receipts[row.hash]), None)
        if mined is not None:
            yield _mined(chain, mined, receipts[mined.hash], rows)
        else:
            left.append(rows)
    known = _known(chain, left)
    forgotten = []
    for rows in left:
        newest = rows[-1]
        if newest.wallet != chain.wallet or newest.nonce >= mined_nonces:
            forgotten += [] if newest.hash in known else [newest]
        elif not any(row.hash in known for row in rows):
            yield Outcome(
                transaction=newest,
                state=TxState.LOST,
                reason=f"another transaction of the wallet used nonce {newest.nonce}",
                rivals=rows[:-1],
            )
    due = rebroadcasts.due((row.hash for row in forgotten), at)
    unsent = [row for row in forgotten if row.hash in due]
    wanted = still_wanted(unsent) if unsent else []
    # What is not wanted now is asked about no more often than it would be sent.
    rebroadcasts.record({row.hash for row in unsent}.difference(row.hash for row in wanted), at)
    _rebroadcast(chain, wanted, rebroadcasts, at)


def _rebroadcast(
    chain: Chain, rows: Sequence[Transaction], rebroadcasts: Rebroadcasts, at: datetime
) -> None:
    results = chain.broadcast([row.raw for row in rows]) if rows else []
    # What an outage kept from the network is sent as soon as it is over.
    sent = [r.hash for r, f in zip(rows, results, strict=True) if not isinstance(f, TryAgain)]
    rebroadcasts.record(sent, at)


def _known(chain: Chain, waiting: Sequence[Sequence[Transaction]]) -> set[TxHash]:
    hashes = [row.hash for rows in waiting for row in rows]
    there = chain.known_by_node(hashes) if hashes else []
    return {tx for tx, known in zip(hashes, there, strict=True) if known}


def _mined(
    chain: Chain, mined: Transaction, receipt: Receipt | None, rows: Sequence[Transaction]
) -> Outcome:
    succeeded = receipt is not None and receipt.succeeded
    return Outcome(
        transaction=mined,
        state=TxState.MINED if succeeded else TxState.REVERTED,
        receipt=receipt,
        reason="" if succeeded else chain.revert_reason(mined),
        rivals=[row for row in rows if row is not mined],
    )
