"""What the orders add up to: money that is out, and how the newest steps ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Account

TRANSFER = "transfer"  # the purpose of a transaction that pays a recipient
REPAY = "repay"  # of one that claims our money back
CANCEL = "cancel"  # of one that only uses a nonce up: nothing to nobody

# Step and kind of the errors of a claim of several orders that came to nothing.
BATCH_FAULTS = ((REPAY, "Reverted"), ("settle", "Undelivered"))

# From the moment a transfer is signed its amount may be gone, until the escrow pays.
OUT = (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING, Status.PROVED)

# An order comes into these only by what a chain has proven.
PROVEN = (Status.FULFILLED, Status.PROVED, Status.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One step of one order that came to an end."""

    key: str  # of the order
    at: datetime  # UTC
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceMark:
    """A wallet's balance that is explained, and when."""

    account: Account
    at: datetime  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletMark:
    """A wallet of ours, and its newest balance that is explained."""

    chain_id: int
    wallet: Address
    mark: BalanceMark


class Accounts(Protocol):
    """Questions about all orders at once."""

    def gas_lost(self, *, since: datetime) -> Wei:
        """Sum what transactions stored since then paid for gas and reverted, in wei."""

    def gas_used(self, purpose: str, origin: str, *, max_count: int) -> list[Gas]:
        """Return what the newest mined transactions of a kind used, newest first; none reverted.

        Those that serve several orders are not among them.
        purpose: TRANSFER or REPAY.
        """

    def last_claim_succeeded(self, origin: str) -> bool:
        """Return whether the newest claim of an origin that is in a block did not revert."""

    def batch_failed(self, origin: str, *, since: datetime) -> bool:
        """Return whether a claim of several of the origin's orders came to nothing since then."""

    def finished(
        self, counted: Sequence[tuple[str, str]], *, since: datetime | None, max_count: int
    ) -> list[Finished]:
        """Return the newest steps that a chain has proven or that failed, newest first.

        counted: step and kind of the errors that count as failures.
        since: only what came later.
        """

    def spent(self, chain_id: int, wallet: Address, *, first: int, end: int) -> Wei | None:
        """Sum what our mined transactions of nonces `first` to below `end` took, in wei.

        None while one of them is undecided: its receipt has not been read yet.
        """

    def balance_mark(self, chain_id: int, wallet: Address) -> BalanceMark | None:
        """Return the wallet's newest explained balance, None before the first."""

    def wallet_marks(self) -> list[WalletMark]:
        """Return the newest explained balance of every wallet that the bot has ever had."""

    def mark_balance(self, chain_id: int, wallet: Address, mark: BalanceMark) -> None:
        """Store the wallet's newest explained balance."""
