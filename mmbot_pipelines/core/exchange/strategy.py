"""What a strategy sees and decides: pure, so that a crash, a stop and a restart are one path.

A session is a strategy on one market of one account. It is asked whenever something changed or its
time has come; what it decided is stored with its memory before anything is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import NO_LOTS, Lots, Market, Side, Ticks
from mmbot_pipelines.core.exchange.order import Order, OrderType, TimeInForce

Memory = Mapping[str, Any]  # as JSON keeps it: texts, whole numbers, lists, None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """What the venue itself answered of the market when it was last asked (REST)."""

    at: datetime  # UTC: when it was asked
    open_orders: int
    position: Lots  # signed


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a session sees when it decides."""

    at: datetime  # UTC
    market: Market
    touch: Touch | None = None  # None: no book can be believed
    unsettled: Sequence[Order] = ()
    last: Order | None = None  # its newest order, settled or not
    bought: Lots = NO_LOTS  # by all of its orders
    sold: Lots = NO_LOTS
    venue: VenueState | None = None
    memory: Memory = field(default_factory=dict)

    def filled(self, side: Side) -> Lots:
        """Return what all orders of one side have filled."""
        return self.bought if side is Side.BUY else self.sold


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order that a session wants."""

    side: Side
    size: Lots
    price: Ticks | None  # None: at the market
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False


class Outcome(StrEnum):
    FINISHED = "FINISHED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a session ended."""

    outcome: Outcome
    reason: str
    filled: Lots


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a session does now, and when it wants to be asked at the latest."""

    memory: Memory
    place: tuple[Intent, ...] = ()
    cancel: tuple[int, ...] = ()  # client order ids
    ask_venue: bool = False  # for its state
    wake_at: datetime | None = None  # UTC; None: when something changes
    result: Result | None = None


class Strategy(Protocol):
    def decide(self, view: View) -> Decision:
        """Return what to do; the same for the same view."""
        ...
