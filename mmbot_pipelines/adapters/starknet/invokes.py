"""Invoke transactions of a Starknet account, stored before they are sent. Pure, with its port.

A row holds nonce, hash and the signed bytes: after a restart the same bytes go out again. No
second nonce is stored while one is undecided. Rows may share a nonce: the later one replaces
what the sequencer never took, and only one of them can be executed.

A row whose nonce is above the account's next one can not be executed as it is. It is given up
as LOST and keeps the next nonce of that time: when the account comes to its nonce it may be
executed after all, and is decided again, together with what else has that nonce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import TxState


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """One signed INVOKE_TXN_V3 of our account."""

    chain_id: int
    wallet: Address
    nonce: int
    bump: int = 0  # how many of ours came before it at its nonce
    hash: TxHash  # computed by us
    raw: bytes  # JSON, BROADCASTED_INVOKE_TXN of Starknet's specification
    subjects: tuple[str, ...]  # keys of the orders it is for
    stored_at: datetime  # UTC
    state: TxState = TxState.STORED
    fee: int | None = None  # in fri, what its execution cost; None: not read yet
    ahead_of: int | None = None  # the account's next nonce when this one, above it, was given up


class Invokes(Protocol):
    """The stored transactions of Starknet accounts."""

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List the account's undecided transactions: lowest nonce first, then lowest bump."""

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        """Return the one of the highest nonce and bump, but those given up as too high."""

    def too_high(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List those given up because their nonces were too high: lowest nonce and bump first."""

    def lost(self, hashes: Sequence[TxHash]) -> set[TxHash]:
        """Return which of these transactions are LOST."""

    def of(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the transactions that are for one of these subjects, oldest first."""

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the reverted transactions that were for one of these subjects, oldest first."""

    def store(self, invoke: Invoke) -> None:
        """Write a transaction that is about to be sent.

        Those of its nonce that were given up as too high are undecided again.

        Raises:
            ConcurrentUpdate: another nonce is undecided, or this one is used or has this bump;
                nothing was written.
        """

    def decide(self, invoke: Invoke, state: TxState, *, ahead_of: int | None = None) -> None:
        """Write what became of a nonce: its other transactions are LOST too, or REPLACED.

        ahead_of: the account's next nonce, where this one is given up because it is higher.

        Raises:
            ConcurrentUpdate: it was decided by somebody else; nothing was written.
        """

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        """Make the transactions of this nonce and later ones undecided again, but the too high."""

    def revive(self, chain_id: int, wallet: Address, below: int) -> None:
        """Make those undecided again that were given up as too high and have a lower nonce."""

    def unpriced(self, chain_id: int, wallet: Address, *, max_rows: int) -> list[Invoke]:
        """List executed transactions whose fee is not known yet, oldest first."""

    def price(self, invoke: Invoke, fee: int) -> None:
        """Write the fee of an executed transaction, in fri, where none is written.

        Raises:
            ConcurrentUpdate: it is undecided again, or has its fee; nothing was written.
        """
