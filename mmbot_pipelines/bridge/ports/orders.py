"""The store of orders: the orders, their history and errors, and how far origins were read."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import EllipsisType
from typing import Protocol

from mmbot_pipelines.bridge.confirmations import ConfirmedRange
from mmbot_pipelines.bridge.orders.journal import HistoryEntry
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.core.unit_of_work import Store, UnitOfWork

# How soon a PENDING order that waits is looked at again: after a fourth of the time it waits.
PAUSE_SHARE = 4
MAX_PAUSE_SECONDS = 300.0


class Cursor(StrEnum):
    """How far an origin has been read."""

    LATEST = "latest"  # the sensor, up to the newest block
    ACCEPTED = "accepted"  # the backfill, up to the newest accepted block


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a range of blocks held. It may end before the block that was asked for."""

    last: Block
    orders: list[Order]
    faults: list[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders to list; None stands for any."""

    status: Status | None = None
    origin: str | None = None
    failed: bool | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Paid orders whose claims may go together."""

    orders: int
    oldest: datetime  # UTC, when the first of them was paid
    amount: Wei


class OrderReads(Protocol):
    """The orders, their history, and how far the origins have been read."""

    def cursor(self, origin: str, kind: Cursor) -> Block | None:
        """Return the last block read, or None before the first."""

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""

    def find(self, wanted: OrderFilter) -> list[Order]:
        """List orders, newest change first."""

    def without_changes(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        """Return which of these orders have no row of history since then."""

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        """List failed orders whose next attempt has come, the longest due first."""

    def is_any(self, statuses: Sequence[Status], origin: str | None) -> bool:
        """Return whether there is a healthy order with one of these statuses; None: any origin."""

    def unfinished(self, origin: str, *, first: int = 0, max_orders: int) -> list[Order]:
        """List unfinished orders that stand in block `first` or later, the highest block first."""

    def claimed(
        self,
        origin: str,
        *,
        newest: bool = False,
        after: tuple[datetime, int] | None = None,
        max_orders: int,
    ) -> list[Order]:
        """List orders whose claim is on its way, failed or not, oldest change first.

        newest: newest change first.
        after: time of change and number of the order behind which the list begins.
        """

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, max_orders: int
    ) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, lowest block first.

        first, last: of the L2's blocks that have the settlements.
        """

    def newest_not_final(self, origin: str, *, max_orders: int) -> list[Order]:
        """List COMPLETED orders whose settlement L1 has not accepted yet, newest change first."""

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""

    def of_run(self, run_id: str) -> list[str]:
        """Return the keys of the orders that a run recorded to work on."""

    def collected(self, origin: str, *, max_orders: int) -> Collected | None:
        """Sum up an origin's healthy paid orders that no run was asked for, at most so many.

        Without those that wait for something; None where there is none.
        """

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


class Orders(OrderReads, Protocol):
    """The orders within one transaction. What a change means is decided in `transitions`."""

    def insert(self, orders: Sequence[Order]) -> list[Order]:
        """Store those that are new and return them; a stored order is never overwritten."""

    def lock(self, wanted: Sequence[Order]) -> list[Order]:
        """Lock the rows that nobody changed since they were read, and return them."""

    def lock_limits(self) -> None:
        """Wait until no other unit of work adds up what may go out: each wallet has a lane."""

    def update(
        self,
        changes: Sequence[tuple[Order, Order]],
        *,
        asked_at: datetime | EllipsisType | None = ...,
    ) -> list[Order]:
        """Write the rows of orders that are still as they were; return them as they are now.

        changes: an order as it was read, and as it is now.
        asked_at: when a run was asked for, None: by nobody; left as it is where it is not given.

        Raises:
            ConcurrentUpdate: somebody changed one of them since; nothing may be kept of this unit
                of work. It cannot be where they were locked before.
        """

    def add_history(self, entries: Sequence[tuple[str, HistoryEntry]]) -> None:
        """Append changes of orders, each with the order's key."""

    def move_cursor(self, origin: str, kind: Cursor, last: Block) -> None:
        """Write the last block read; a cursor never goes back by this."""

    def rewind(self, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
        """Set a cursor back from `seen` to an earlier block, or to before the first.

        Raises:
            ConcurrentUpdate: the cursor was moved since; nothing was written.
        """

    def take_for_run(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        retake_after_seconds: float,
        confirmed: Sequence[ConfirmedRange] | None = None,
        fresh: bool = True,
        max_orders: int | None = None,
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `retake_after_seconds` seconds.

        Oldest change first. Two who take at the same time never take the same order. Those that
        wait for something come after all others; one that is PENDING is taken again after a
        PAUSE_SHARE of the time that it had waited when it was last taken, at the latest after
        MAX_PAUSE_SECONDS.
        confirmed: only orders of one of these kinds.
        fresh: also those that no run was ever asked for.
        max_orders: those with the highest fees, where there are more.
        """

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        """Let orders be taken as if they had been at that time, or never: their run ended."""

    def release_waiting(self, origin: str, reason: str) -> None:
        """Let the healthy orders that wait with this reason be taken; not those being changed."""

    def record_run(self, run_id: str, keys: Sequence[str], *, at: datetime) -> None:
        """Record that a run works on these orders, those of them that are stored."""

    def forget_runs(self, *, before: datetime) -> int:
        """Delete which orders runs worked on that began before; return how many rows."""


class BridgeUnitOfWork(UnitOfWork, Protocol):
    """One database transaction of the bridge."""

    @property
    def orders(self) -> Orders: ...


class BridgeStore(Store, Protocol):
    """The truth of the bridge: orders beside what every application stores."""

    @property
    def orders(self) -> OrderReads: ...

    def begin(self) -> AbstractContextManager[BridgeUnitOfWork]:
        """Begin a transaction: leaving commits, an exception takes everything back."""
