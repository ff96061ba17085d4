"""Invoke transactions of a Starknet account, stored before they are sent. Pure, with its port.

A row holds nonce, hash and the signed bytes: after a crash the same bytes go out again. No
second nonce is stored while one is undecided. Rows may share a nonce: the later one replaces
what the sequencer never took, and only one of them can be executed.
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


class Invokes(Protocol):
    """The stored transactions of Starknet accounts."""

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List the account's undecided transactions: lowest nonce first, then lowest bump."""

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        """Return the account's transaction of the highest nonce and bump."""

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the reverted transactions that were for one of these subjects, oldest first."""

    def store(self, invoke: Invoke) -> None:
        """Write a transaction that is about to be sent.

        Raises:
            LostRace: another nonce is undecided, or this one is used or has this bump;
                nothing was written.
        """

    def decide(self, invoke: Invoke, state: TxState) -> None:
        """Write what became of a nonce: its other transactions are LOST too, or REPLACED.

        Raises:
            LostRace: it was decided by somebody else; nothing was written.
        """

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        """Make all transactions of this nonce and of later ones undecided again."""
