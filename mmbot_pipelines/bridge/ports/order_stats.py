"""Sums and lists over many orders, for alerts. Ports only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, Wei

# Where an order waits for a transaction of ours: its transfer or its claim.
WAITING = (Status.PENDING, Status.PROCESSING, Status.FULFILLED)

PAID = (Status.FULFILLED, Status.PROVING, Status.PROVED)  # the recipient is; we are not


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Healthy orders that wait for ETH in the wallet."""

    orders: int
    needs: Wei  # amounts and fees of the unpaid, fees of the paid: a fee covers an order's gas
    more: bool = False  # orders than were summed up


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Orders that only a person can make go on."""

    orders: int  # all of them
    paid: Sequence[Order]  # of those that are PAID, the first
    unpaid: Sequence[Order]  # of the others, the first


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWait:
    """Healthy orders that have stayed in their state for long, for one reason."""

    reason: str | None  # None: none is stored
    orders: int
    oldest: str  # key of the one that has stayed for longest
    since: datetime  # UTC, when that one came into its state


class OrderStats(Protocol):
    """Questions about all rows at once."""

    def highest_nonce(self, chain_id: int, wallet: Address) -> int | None:
        """Return the highest nonce we ever gave out, None before the first."""

    def nonces_lost(self, chain_id: int, wallet: Address, *, since: datetime) -> Sequence[int]:
        """List nonces stored since then that went to a transaction that is not ours, rising."""

    def shortage(self, reasons: Sequence[str], *, max_orders: int) -> Shortage:
        """Sum up healthy orders that wait with one of these reasons, at most so many."""

    def parked(self, *, max_paid: int, max_unpaid: int) -> Parked:
        """Count the parked orders, and list the first of each kind: the longest parked first."""

    def owed(self, *, claimed: bool, max_orders: int) -> Sequence[Order]:
        """List orders that are PAID and not parked, the longest unchanged first.

        claimed: those whose claim's outcome is decided off L1, by an L2 message or a prover;
            or else all others.
        """

    def long_waits(self, *, before: datetime, max_orders: int) -> Sequence[LongWait]:
        """Return the healthy orders that came into their state before then, by reason.

        The most frequent reasons first. Without PAID orders: `owed` lists them.
        max_orders: that are looked at in each state, the longest unchanged first.
        """
