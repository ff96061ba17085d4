"""What the bridge needs of the store for its transactions: the lane, and what became of them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Outcome, Receipt, Transaction
from mmbot_pipelines.core.safety import ScopeState


class Lane(Protocol):
    """The right to give out the wallet's nonces, held for one database transaction."""

    def lock_orders(self, orders: Sequence[Order]) -> list[Order]:
        """Lock the rows that nobody changed since they were read, and return them."""

    def next_nonce(self, chain_nonce: int) -> int:
        """Return the first nonce that neither the chain nor the outbox has used."""

    def next_bump(self, nonce: int) -> int:
        """Return the first bump that a nonce does not have, nor its subjects at another one."""

    def in_flight(self) -> list[Transaction]:
        """List the wallet's undecided transactions, lowest nonce first."""

    def store(self, before: Order, after: Order, transaction: Transaction, run_id: str) -> None:
        """Write the transaction, the order's step and its history row."""

    def replace(self, transaction: Transaction) -> None:
        """Write one more transaction for a nonce: of its subject's, while it is undecided,
        or for one of which only lost rows of others are known.

        Raises:
            ConcurrentUpdate: the nonce is decided, or has this bump already; nothing was written.
        """

    def scope_states(self) -> list[ScopeState]:
        """Read the safety states."""

    def lock_scope_states(self) -> list[ScopeState]:
        """Read the safety states; none changes until the lane is left."""

    def exposure(self) -> Wei:
        """Sum the amounts of all orders that are OUT, in wei."""

    def paid_since(self, at: datetime) -> dict[Address, Wei]:
        """Sum transfers of all wallets since then by recipient, without those that failed."""

    def held_back(
        self, origin: str, reason: str, *, recipient: Address | None, max_orders: int
    ) -> list[Order]:
        """List an origin's healthy orders that wait with this reason, lowest number first.

        recipient: only orders to this one; None: to any.
        """


class Outbox(Protocol):
    """The transactions, and the steps of orders that they prove."""

    def lane(self, chain_id: int, wallet: Address) -> AbstractContextManager[Lane]:
        """Hold the wallet's lane; leaving it commits, an exception takes all of it back."""

    def transactions(self, key: str) -> list[Transaction]:
        """Return all transactions of an order, oldest first."""

    def in_flight(self) -> list[Transaction]:
        """List all undecided transactions, lowest nonce first."""

    def decide(
        self,
        outcome: Outcome,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None = None,
    ) -> None:
        """Write what became of a nonce and the step it means for its order, together.

        The other undecided rows of the nonce are LOST with it, or else REPLACED.

        Raises:
            ConcurrentUpdate: the order or the transaction was changed since, or what is called lost
                was replaced; nothing was written.
        """

    def mined_since(self, block: int) -> list[Transaction]:
        """List what was mined or reverted in block `block` or later, lowest nonce first."""

    def unrefunded(self, origin: str, *, at: datetime, max_rows: int) -> list[Transaction]:
        """List mined claims of which it is unknown and due what their messages gave back.

        Those that are due longest come first; a claim that was never asked for is due at once.
        """

    def postpone_refunds(self, due: Mapping[TxHash, datetime]) -> None:
        """Write when the refunds of these claims, which are unknown still, are due again."""

    def refund(self, claim: Transaction, refund: Wei) -> None:
        """Write what a mined claim's message gave back on the L2, in wei.

        Raises:
            ConcurrentUpdate: it was changed since, or has its refund; nothing was written.
        """

    def move_to_block(self, mined: Transaction, receipt: Receipt) -> None:
        """Write that a transaction stands in another block now, with the same success.

        Raises:
            ConcurrentUpdate: it was changed since; nothing was written.
        """

    def reopen_nonce(
        self,
        mined: Transaction,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None = None,
    ) -> None:
        """Make all rows of a nonce undecided again, stored at `at`, with the order's step.

        mined: or lost, where the nonce is free again.

        Raises:
            ConcurrentUpdate: the order or the transaction was changed since; nothing was written.
        """
