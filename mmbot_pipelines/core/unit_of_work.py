"""One database transaction as an object, with what every application stores in it. Ports only.

    with store.begin() as uow:
        uow.outbox.decide([outcome])
        uow.errors.add([fault], at=at, run_id=run_id)

Leaving the block commits, an exception takes everything back. An application adds repositories
of its own, so that its step and its transactions are stored together. What is only read may be
read from the store itself, each question in a transaction of its own.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.core.error_log import ErrorLog, ErrorReads
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Outcome, Receipt, Transaction
from mmbot_pipelines.core.safety import SafetyReads, SafetyStates


class OutboxReads(Protocol):
    """The stored transactions. A subject is a key that means something to its application."""

    def of(self, subject: str) -> list[Transaction]:
        """Return all transactions of a subject, oldest first."""

    def in_flight(self) -> list[Transaction]:
        """List all undecided transactions, lowest nonce first."""

    def mined_since(self, block: int) -> list[Transaction]:
        """List what was mined or reverted in block `block` or later, lowest nonce first."""

    def unrefunded(self, origin: str, *, at: datetime, max_rows: int) -> list[Transaction]:
        """List mined claims and batches of which it is due what their messages gave back.

        Those that are due longest come first; one that was never asked for is due at once.
        origin: what their subjects begin with, before the colon.
        """


class Lane(Protocol):
    """A wallet's nonces, which nobody else gives out until the transaction ends."""

    def next_nonce(self, chain_nonce: int) -> int:
        """Return the first nonce that neither the chain nor the outbox has used.

        A lost transaction's nonce counts too: another one has used it on chain, even if
        the node that was asked for `chain_nonce` does not know it yet. One that changes the
        wallet's code uses two.
        """

    def next_bump(self, nonce: int) -> int:
        """Return the first bump that a nonce does not have, nor its subjects at another one.

        A subject's transfer and claim may both be cancelled in one attempt.
        """

    def in_flight(self) -> list[Transaction]:
        """List the wallet's undecided transactions, lowest nonce first."""

    def add(self, *sent: Transaction) -> None:
        """Store transactions that are about to be sent.

        Raises:
            ConcurrentUpdate: an attempt or a nonce has one already; nothing may be kept of this
                unit of work.
            ValueError: one is of another wallet or chain than the lane.
        """

    def add_replacement(self, transaction: Transaction) -> None:
        """Store one more transaction for a nonce: of its subject's, while it is undecided,
        or for one of which only lost rows of others are known.

        Raises:
            ConcurrentUpdate: the nonce is decided, or has this bump already; nothing was written.
            ValueError: it is of another wallet or chain than the lane.
        """


class Outbox(OutboxReads, Protocol):
    """The stored transactions within one transaction of the database."""

    def lock_lane(self, chain_id: int, wallet: Address) -> Lane:
        """Wait for the wallet's lane and hold it until the transaction ends."""

    def decide(self, decided: Sequence[Outcome]) -> None:
        """Write what became of nonces; their other undecided rows are LOST too, or REPLACED.

        Raises:
            ConcurrentUpdate: one was decided since, or what is called lost was replaced; nothing
                may be kept of this unit of work.
        """

    def reopen_nonce(self, row: Transaction, *, at: datetime) -> None:
        """Make all rows of a nonce undecided again, as if they were stored at `at`.

        row: one that was mined, or lost where the nonce is free again.

        Raises:
            ConcurrentUpdate: it was changed since it was read.
        """

    def move_to_block(self, mined: Transaction, receipt: Receipt) -> None:
        """Write that a transaction stands in another block now, with the same success.

        Raises:
            ConcurrentUpdate: it was changed since it was read.
        """

    def postpone_refunds(self, due: Mapping[TxHash, datetime]) -> None:
        """Write when refunds that are unknown still are due again."""

    def set_refund(self, mined: Transaction, refund: Wei) -> None:
        """Write what a mined transaction's message gave back on the L2, in wei.

        Raises:
            ConcurrentUpdate: it was changed since it was read, or has its refund.
        """


class UnitOfWork(Protocol):
    """One database transaction."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def safety(self) -> SafetyStates: ...

    @property
    def errors(self) -> ErrorLog: ...


class Store(Protocol):
    """Where everything is kept.

    Every question, and the beginning and end of a unit of work, raise StoreUnavailable when
    the database cannot be reached.
    """

    @property
    def outbox(self) -> OutboxReads: ...

    @property
    def safety(self) -> SafetyReads: ...

    @property
    def errors(self) -> ErrorReads: ...

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """Begin a transaction: leaving commits, an exception takes everything back."""
