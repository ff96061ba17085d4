"""What the audit of a running bot reads: stored facts of a window, and the registry's log."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.bridge.audit.facts import RegistryTransfer, StoredFacts
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of the stored facts is read: that of these blocks of the wallet's chain."""

    chain_id: int
    wallet: Address
    first: int
    last: int
    max_transactions: int  # the newest of them, where there are more
    keys: AbstractSet[str]  # of orders to read, beside those that the transactions serve


class AuditRecords(Protocol):
    """Bounded questions about what is stored, each in one snapshot."""

    def stored(self, window: Window) -> tuple[StoredFacts, int]:
        """Return the facts of a window, and the first block that they cover whole.

        The transactions are all of those nonces, whatever their state, that the window's blocks
        use; without those in later blocks.
        """

    def newest_numbers(self, origin: str, *, max_count: int) -> list[int]:
        """Return the highest numbers of an origin's stored orders, falling."""

    def with_errors(self, keys: Sequence[str]) -> set[str]:
        """Return which of these have an error stored under their name."""

    def overdue(
        self, origin: str, *, unpaid_since: datetime, paid_since: datetime, max_orders: int
    ) -> list[Order]:
        """List healthy unfinished orders that have not changed since then, oldest first.

        paid_since: of orders whose money is out.
        """


class PaymentLog(Protocol):
    """The Transfer events of the PaymentRegistry."""

    def transfers(self, first: int, last: int) -> list[RegistryTransfer]:
        """Read the transfers in these blocks, of all origins; one unknown has its chain's id."""
