"""What orders earned and cost by day, for the report and the daily summary. Ports only."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from mmbot_pipelines.core.money import Wei

SHARED = ""  # in place of an origin: what belongs to no order, such as an unused nonce's gas

_NONE = Wei(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What happened in some time. Gas and messages count when their transaction was stored."""

    found: int = 0  # orders
    transferred: int = 0
    completed: int = 0
    dropped: int = 0
    errors: int = 0
    paid: Wei = _NONE  # to recipients, by mined transfers
    repaid: Wei = _NONE  # the completed orders' amounts, without their fees
    earned: Wei = _NONE  # the completed orders' fees
    gas_paid: Wei = _NONE  # by all transactions, mined or reverted
    gas_lost: Wei = _NONE  # of it, by those that reverted
    lost_to_strangers: Wei = _NONE  # of that, because recipients refused the money on chain
    # Paid for orders that their L2 took back after it; not part of the profit, for they may return.
    lost_to_reorgs: Wei = _NONE
    messages_paid: Wei = _NONE  # by mined claims
    refunded: Wei = _NONE  # on the L2s, of messages: the completed orders', and those that failed
    starknet_fees: int = 0  # in fri, by our own transactions on L2s; not part of the profit
    undecided: int = 0  # transactions without a receipt, and claims whose refund is unknown yet

    @property
    def profit(self) -> Wei:
        """Return what is left of the fees, in wei; below 0 where the costs are higher.

        What is paid in STRK is not in it.
        """
        return Wei(self.earned + self.refunded - self.gas_paid - self.messages_paid)

    @property
    def margin_bps(self) -> Decimal | None:
        """Return the profit in hundredths of a percent of what was repaid, cut to two digits."""
        if not self.repaid:
            return None
        hundredths = abs(self.profit) * 1_000_000 // self.repaid
        return Decimal(f"{'-' if self.profit < 0 else ''}{hundredths}E-2")  # exact


def total(parts: Iterable[Figures]) -> Figures:
    """Add figures up."""
    rows = [asdict(part) for part in parts]
    return Figures(**{f.name: sum(row[f.name] for row in rows) for f in fields(Figures)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfOrigin:
    """The figures of one origin on one day."""

    day: date  # UTC
    origin: str  # or SHARED
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTime:
    """How long one order took for one part of its way."""

    day: date  # UTC, when the part ended
    origin: str
    part: str  # "transfer": found to paid; "repayment": paid to repaid
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfExposure:
    """What of one origin was out in one hour: paid, or about to be, and not yet repaid."""

    at: datetime  # UTC, when the hour began
    origin: str
    peak: Wei
    end: Wei  # when the hour ended, or now


class Reports(Protocol):
    """Questions about whole days."""

    def days(self, *, since: datetime, until: datetime | None = None) -> Sequence[DayOfOrigin]:
        """Sum up what happened from `since` to before `until`; what is all zero is left out."""

    def order_times(self, *, since: datetime, until: datetime | None = None) -> Sequence[OrderTime]:
        """Return how long each order took whose transfer or repayment was then."""

    def exposure(self, *, since: datetime, until: datetime) -> Sequence[HourOfExposure]:
        """Return the exposure of each origin that ever had any, hour by hour.

        since: the beginning of an hour.
        """

    def first_day(self) -> date | None:
        """Return the day on which the first order was found, in UTC; None where there is none."""
