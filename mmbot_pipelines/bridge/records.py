"""What the records tell beyond single orders: for alerts and the daily summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mmbot_pipelines.core.money import Address, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What happened since some time."""

    found: int  # orders
    transferred: int
    completed: int
    dropped: int
    errors: int
    earned: Wei  # the completed orders' fees
    gas_paid: Wei  # by all transactions stored since, mined or reverted


class Records(Protocol):
    """Questions about all rows at once."""

    def highest_nonce(self, chain_id: int, wallet: Address) -> int | None:
        """Return the highest nonce we ever gave out, None before the first."""

    def nonces_lost(self, chain_id: int, wallet: Address, *, since: datetime) -> Sequence[int]:
        """List nonces stored since then that went to a transaction that is not ours, rising."""

    def day(self, *, since: datetime) -> Day:
        """Sum up what happened since then."""
