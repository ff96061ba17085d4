"""What the bridge needs from outside, in its own words.

Every method works on many orders at once, so that an adapter can ask a node once
for all of them. Where one order's answer is a fault, the fault stands in its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.outbox import Outbox
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees


@dataclass(frozen=True, slots=True)
class Run:
    """Who is at work, and where what is done is told to the operator."""

    id: str
    say: Callable[[str], None]


# How soon a PENDING order that waits is looked at again: after a fourth of the time it waits.
PAUSE_SHARE = 4
MAX_PAUSE_SECONDS = 300.0


class Cursor(StrEnum):
    """How far an origin has been read."""

    LATEST = "latest"  # the sensor, up to the newest block
    ACCEPTED = "accepted"  # the backfill, up to the newest accepted block


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that could not be understood or done, kept for the operator."""

    subject: str  # an order's key, or where the event stood
    step: str
    kind: str  # the error's class
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a range of blocks held. It may end before the block that was asked for."""

    last: Block
    orders: list[Order]
    faults: list[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of one order."""

    before: Status | None
    after: Status
    at: datetime
    run_id: str
    tx: TxHash | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEntry:
    """One error, kept for ever."""

    fault: Fault
    at: datetime
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which orders to list; None stands for any."""

    status: Status | None = None
    origin: str | None = None
    failed: bool | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ripe:
    """Orders of a size, `least` to below `limit` in wei, that stand in block `newest` or before.

    None: any size from `least` on, any block.
    """

    least: Wei
    limit: Wei | None
    newest: int | None


class Orders(Outbox, Protocol):
    """The truth: orders, their history and errors, the outbox, and the cursors."""

    def cursor(self, origin: str, kind: Cursor) -> Block | None:
        """Return the last block read, or None before the first."""

    def add(self, origin: str, kind: Cursor, scan: Scan, *, at: datetime, run_id: str) -> list[str]:
        """Store new orders and faults and move the cursor, all or nothing.

        Returns the keys that were new; a stored order is never overwritten.
        """

    def rewind(self, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
        """Set a cursor back from `seen` to an earlier block, or to before the first.

        Raises:
            LostRace: the cursor was moved since; nothing was written.
        """

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""

    def find(self, wanted: Filter) -> list[Order]:
        """List orders, newest change first."""

    def quiet(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        """Return which of these orders have no row of history since then."""

    def ask(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        again_after: float,
        ripe: Sequence[Ripe] | None = None,
        max_orders: int | None = None,
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `again_after` seconds.

        Whoever takes an order asks for its run. Those that wait for something come after all
        others; one that is PENDING is taken again after a PAUSE_SHARE of the time that it had
        waited when it was last taken, at the latest after MAX_PAUSE_SECONDS.
        ripe: only orders of one of these kinds.
        max_orders: those with the highest fees, where there are more.
        """

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        """Let orders be asked for as if they had been at that time, or never: their run ended."""

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        """List failed orders whose next attempt has come, the longest due first."""

    def waiting(self, statuses: Sequence[Status], origin: str | None = None) -> list[Order]:
        """List orders in these statuses, failed or not, oldest change first."""

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, most: int
    ) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, lowest block first.

        first, last: of the L2's blocks that have the settlements.
        """

    def change(
        self,
        before: Order,
        after: Order,
        *,
        run_id: str,
        at: datetime,
        tx: TxHash | None = None,
        fault: Fault | None = None,
        taken: bool = False,
    ) -> Order:
        """Write the new row, its history row and its error, if the row is still `before`.

        taken: the caller's run goes on with the order, so `ask` returns it to no other for now.

        Raises:
            LostRace: somebody changed the order since; nothing was written.
        """

    def retell(
        self, before: Order, after: Order, *, run_id: str, at: datetime, fault: Fault
    ) -> Order:
        """Write what the escrow logs now under an unpaid order's number: other content.

        The only step that may change recipient, amount and fee; of an order that is paid it
        may change the fee, which no transfer carries.

        Raises:
            LostRace: the order was changed since, or a transfer of what it was is undecided
                or mined; nothing was written.
        """

    def note(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        """Keep an error that belongs to no change of an order."""

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""

    def errors(self, key: str) -> list[ErrorEntry]:
        """Return all errors of an order, oldest first."""

    def errors_of_run(self, run_id: str) -> list[ErrorEntry]:
        """Return all errors that a run stored, oldest first."""


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

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Look after claims on their way, which the escrow has not paid yet."""


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

    def scan(self, first: int, last: int) -> Scan:
        """Read the escrow's orders from block `first` on, in one bounded range."""

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


class Registry(Protocol):
    """The PaymentRegistry on L1."""

    def transfer(self, order: Order) -> Call:
        """Build the call that pays the recipient."""

    def used(self, orders: Sequence[Order]) -> list[bool]:
        """Tell which orders the registry has marked as paid."""

    def takes(self, wallet: Address) -> bool:
        """Return whether a wallet may send it transfers and claims: its owner, its market maker."""

    def paid_in(self, order: Order, *, below: int | None = None) -> TxHash | int | None:
        """Return the transaction whose Transfer event paid the order, or None.

        One search is bounded: where it has not come to the first block, return the block
        down to which it has searched in vain, to go on `below` it.
        """
