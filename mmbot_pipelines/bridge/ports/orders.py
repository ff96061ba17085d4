"""The store of orders: the orders, their history and errors, and how far origins were read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.bridge.journal import ErrorEntry, Fault, HistoryEntry
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.outbox import Outbox
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Block

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
class ConfirmedRange:
    """Orders of a size, `least` to below `limit` in wei, that stand in block `newest` or before.

    None: any size from `least` on, any block.
    """

    min_amount: Wei
    below_amount: Wei | None
    max_block: int | None


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
            ConcurrentUpdate: the cursor was moved since; nothing was written.
        """

    def get(self, keys: Sequence[str]) -> list[Order]:
        """Return the orders of these keys that exist, in the order asked for."""

    def find(self, wanted: OrderFilter) -> list[Order]:
        """List orders, newest change first."""

    def without_changes(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        """Return which of these orders have no row of history since then."""

    def take_for_run(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        retake_after_seconds: float,
        confirmed: Sequence[ConfirmedRange] | None = None,
        max_orders: int | None = None,
    ) -> list[Order]:
        """Take the healthy orders that no run was asked for within `retake_after_seconds` seconds.

        Whoever takes an order asks for its run. Those that wait for something come after all
        others; one that is PENDING is taken again after a PAUSE_SHARE of the time that it had
        waited when it was last taken, at the latest after MAX_PAUSE_SECONDS.
        confirmed: only orders of one of these kinds.
        max_orders: those with the highest fees, where there are more.
        """

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        """Let orders be asked for as if they had been at that time, or never: their run ended."""

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        """List failed orders whose next attempt has come, the longest due first."""

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
            ConcurrentUpdate: somebody changed the order since; nothing was written.
        """

    def relocate(
        self, before: Order, after: Order, *, run_id: str, at: datetime, fault: Fault
    ) -> Order:
        """Write what the escrow logs now under an unpaid order's number: other content.

        The only step that may change recipient, amount and fee; of an order that is paid it
        may change the fee, which no transfer carries.

        Raises:
            ConcurrentUpdate: the order was changed since, or a transfer of what it was is undecided
                or mined; nothing was written.
        """

    def record_error(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        """Keep an error that belongs to no change of an order."""

    def history(self, key: str) -> list[HistoryEntry]:
        """Return all changes of an order, oldest first."""

    def errors(self, key: str) -> list[ErrorEntry]:
        """Return all errors of an order, oldest first."""

    def record_run(self, run_id: str, keys: Sequence[str], *, at: datetime) -> None:
        """Record that a run works on these orders, those of them that are stored."""

    def orders_of_run(self, run_id: str) -> list[str]:
        """Return the keys of the orders that a run recorded to work on."""

    def forget_runs(self, *, before: datetime) -> int:
        """Delete which orders runs worked on that began before; return how many rows."""

    def errors_of_run(self, run_id: str) -> list[ErrorEntry]:
        """Return all errors that a run stored, oldest first."""
