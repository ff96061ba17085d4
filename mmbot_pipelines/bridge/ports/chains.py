"""What the bridge needs of the L2s that orders come from, and of the registry on L1.

Every method works on many orders at once, so that an adapter can ask a node once
for all of them. Where one order's answer is a fault, the fault stands in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Event, Fees


@dataclass(frozen=True, slots=True)
class Task:
    """A claim that somebody else works on: nothing of ours is to be sent for it now."""

    ref: str  # what it goes by, e.g. "task 7f3a"; the order keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of a claim on its way; nothing, as long as it is on its way."""

    ref: str | None = None  # what it goes by: a message's hash, a prover's task
    proven_in: TxHash | None = None  # the L2 transaction that shows the proof to the escrow
    waits: str | None = None  # what it waits for, healthy
    lost: Failure | None = None  # why it can never arrive


@dataclass(frozen=True, slots=True)
class Settlement:
    """The escrow's payment of one order to us."""

    tx: TxHash  # on the L2
    block: Block  # of the L2
    # What the claim's message did not use and the same transaction gave back to our wallet.
    refund: Wei | None = None  # None: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEnd:
    """How the L2 executed a message of ours."""

    number: int | None  # of the one order that it claims; None: it claims several
    failed: bool
    refund: Wei  # what it gave back to our wallets in that transaction


class Repayment(Protocol):
    """How the escrow is brought to pay us: by a message from L1, or by a proof of L1's state."""

    @property
    def claim_gas(self) -> Gas:
        """Return the gas that a claim was measured to take on L1; 0 where none is sent there.

        It decides until receipts of claims are there: see `gas_estimates`.
        """

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price what each claim costs beside gas on L1, in wei: a message, or a proof."""

    def claims(self, orders: Sequence[Order], fees: Fees) -> Sequence[Call | Task | Failure]:
        """Begin to claim: with L1 calls that are ours to send, or with tasks given away.

        Who gives the task of one order and attempt twice gets the same one.
        """

    @property
    def max_batch(self) -> int:
        """Return how many orders one claim may name; 1 where each order needs its own."""

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        """Build for each batch the one L1 call that claims all of it.

        Whether the escrow would pay each order is not asked again: see `check`. One that it
        refuses makes the whole message fail there.
        """

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Look after claims on their way, which the escrow has not paid yet."""

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whether the events of one transaction show that it has claimed each order."""

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        """Return how the messages of each mined claim ended; None: of one it is not known yet.

        Nothing where a message that failed gives nothing back and is found by `progress`.
        """

    def record_costs(self) -> None:
        """Write what claims have cost on the L2, where transactions of ours were sent there."""


class Origin(Repayment, Protocol):
    """The L2 that orders come from, and where the escrow pays us back."""

    @property
    def name(self) -> str: ...

    @property
    def start(self) -> int:
        """Return the first block that can hold an order."""

    def head(self, kind: Cursor) -> Block:
        """Return the newest block, or the newest accepted one."""

    def final(self) -> Block:
        """Return the newest block that L1 has accepted: nothing takes it back any more."""

    def scan(self, first: int, last: int, *, witnessed: bool = False) -> Scan:
        """Read the escrow's orders from block `first` on, in one bounded range.

        witnessed: read them at as many nodes as the quorum has, and return what any of them
            shows, but what the escrow holds otherwise: one node hides none.
        """

    def unsealed(self, after: Block) -> Scan:
        """Read the orders of a block that is still being built, if the L2 shows one.

        The scan ends with `after`, for what comes behind it can still change.
        """

    def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Return these blocks as the chain has them now; None for one that is not sealed."""

    def check(self, orders: Sequence[Order]) -> list[Failure | None]:
        """Read the escrow again: it still holds this very order, unclaimed, to be paid to us."""

    def settled(self, orders: Sequence[Order]) -> list[Settlement | Failure | None]:
        """Return the escrow's payment of each order to us; None where all witnesses have none.

        A failure stands where nothing is proven (TryAgain: the witnesses differ), or where
        the money went elsewhere (PaidElsewhere).
        """


class Payment(StrEnum):
    """Whom the events of one transaction show as paid, of an order's number."""

    NONE = "nobody"
    ORDER = "this very order"
    OTHER = "another order of its number"


class Registry(Protocol):
    """The PaymentRegistry on L1."""

    def transfer(self, order: Order) -> Call:
        """Build the call that pays the recipient."""

    def payments(self, events: Sequence[Event], orders: Sequence[Order]) -> list[Payment]:
        """Return whom the Transfer events of one transaction show as paid, order by order."""

    def used(self, orders: Sequence[Order]) -> list[bool]:
        """Return which orders the registry has marked as paid."""

    def accepts(self, wallets: Sequence[Address]) -> list[bool]:
        """Return which wallets may send it transfers and claims: its owner, its market maker."""

    def paid_in(self, order: Order, *, below: int | None = None) -> TxHash | int | None:
        """Return the transaction whose Transfer event paid the order, or None.

        One search is bounded: where it has not come to the first block, return the block
        down to which it has searched in vain, to go on `below` it.
        """
