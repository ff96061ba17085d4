"""An order on an exchange, and how its events change it: merged, whatever their order. Pure.

Events are facts that may come late, twice or in any order: what was filled is the sum over trade
ids, a status never moves backwards, and every permutation of one history ends in the same order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum

from mmbot_pipelines.core.errors import IllegalTransition
from mmbot_pipelines.core.exchange.market import NO_LOTS, Lots, Side, Ticks, exact_sum


class Status(StrEnum):
    NEW = "NEW"  # stored and held back: nothing was sent
    SUBMITTING = "SUBMITTING"  # stored, perhaps sent
    UNKNOWN = "UNKNOWN"  # sent, and its answer was lost
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = {Status.FILLED, Status.CANCELLED, Status.FAILED}


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Word(StrEnum):
    """What an event reports of an order."""

    ACCEPTED = "ACCEPTED"
    FILL = "FILL"  # one trade
    FILLED = "FILLED"  # the venue's own word for a complete order
    CANCELED = "CANCELED"  # by us, by the venue, expired, or the rest of an IOC
    REJECTED = "REJECTED"
    NO_ANSWER = "NO_ANSWER"  # ours: it was sent and may have arrived
    SEEN = "SEEN"  # a lookup found it open
    IMPOSSIBLE = "IMPOSSIBLE"  # it can no longer appear at the venue, and its fills were fetched


class Alarm(StrEnum):
    """What a person has to know at once of an event."""

    OVERFILLED = "OVERFILLED"  # more was filled than ordered: the account is halted
    REVIVED = "REVIVED"  # it was taken for ended and is alive


class NotThisOrder(ValueError):
    """An event has our client order id and another order's venue id: it is foreign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of an order."""

    trade_id: str  # unique in its account
    price: Decimal  # quote units of one base unit
    size: Lots
    quote: Decimal  # price times size, in quote units
    fee: Decimal
    fee_asset: str
    is_maker: bool
    at: datetime  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One fact about an order, from a stream, an answer, a lookup or ourselves."""

    word: Word
    fill: Fill | None = None  # with FILL alone
    venue_filled: Lots | None = None  # how much the venue has filled in all
    venue_order_id: str | None = None
    reason: str | None = None  # the venue's own, of an end
    asked_at_version: int | None = None  # with SEEN: the order's version when it was looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of ours; its row is committed before its bytes are sent."""

    client_id: int
    account: str
    session: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: Ticks | None  # None: a market order
    size: Lots
    post_only: bool = False
    reduce_only: bool = False
    deadline_at: datetime  # UTC: the venue takes it no later
    status: Status = Status.NEW
    filled: Lots = NO_LOTS  # sum of its fills
    quote_filled: Decimal = Decimal(0)  # what they cost, in quote units
    trade_ids: frozenset[str] = frozenset()
    venue_filled: Lots = NO_LOTS  # the highest total that was reported
    venue_order_id: str | None = None
    cancel_requested_at: datetime | None = None  # UTC
    reason: str | None = None
    version: int = 0  # how often it was changed

    @property
    def is_settled(self) -> bool:
        """Return whether nothing more can come of it: only such an order may be replaced."""
        return self.status.is_terminal and self.venue_filled == self.filled

    @property
    def remaining(self) -> Lots:
        """Return what the venue may still fill, or has filled without our knowing its trades."""
        return Lots(0 if self.is_settled else max(0, self.size - self.filled))


@dataclass(frozen=True, slots=True)
class Applied:
    """An order after an event; the same object where the event changed nothing."""

    order: Order
    alarm: Alarm | None = None


class _To(Enum):
    """How an event changes a status."""

    SAME = "="
    BY_FILLS = "OPEN, PARTIALLY_FILLED or FILLED, by what was filled"
    MORE_FILLED = "the same, or FILLED when complete"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    ENDED = "CANCELLED if something was filled, else FAILED"
    UNKNOWN = "UNKNOWN"
    REVIVED = "by fills, with an alarm"


def _row(others: _To = _To.SAME, **targets: _To) -> Mapping[Word, _To]:
    return {word: targets.get(word, others) for word in Word}


_SENT = _row(
    ACCEPTED=_To.BY_FILLS,
    FILL=_To.BY_FILLS,
    FILLED=_To.FILLED,
    CANCELED=_To.CANCELLED,
    REJECTED=_To.FAILED,
    NO_ANSWER=_To.UNKNOWN,
    SEEN=_To.BY_FILLS,
    IMPOSSIBLE=_To.FAILED,
)
_LIVE = _row(
    FILL=_To.BY_FILLS,
    FILLED=_To.FILLED,
    CANCELED=_To.CANCELLED,
    REJECTED=_To.ENDED,
    IMPOSSIBLE=_To.CANCELLED,
)
_TABLE: Mapping[Status, Mapping[Word, _To]] = {
    Status.NEW: {Word.CANCELED: _To.CANCELLED, Word.REJECTED: _To.FAILED},
    Status.SUBMITTING: _SENT,
    Status.UNKNOWN: _SENT,
    Status.OPEN: _LIVE,
    Status.PARTIALLY_FILLED: _LIVE,
    Status.FILLED: _row(SEEN=_To.REVIVED),
    Status.CANCELLED: _row(FILL=_To.MORE_FILLED, FILLED=_To.FILLED, SEEN=_To.REVIVED),
    Status.FAILED: _row(
        ACCEPTED=_To.REVIVED,
        FILL=_To.REVIVED,
        FILLED=_To.REVIVED,
        SEEN=_To.REVIVED,
        CANCELED=_To.CANCELLED,
    ),
}


def submitting(order: Order) -> Order:
    """Return a new order as it is stored right before it is sent."""
    if order.status is not Status.NEW:
        raise IllegalTransition(f"order {order.client_id} is {order.status}: it was sent before")
    return replace(order, status=Status.SUBMITTING, version=order.version + 1)


def apply(order: Order, event: OrderEvent) -> Applied:
    """Return the order as an event leaves it, and what a person has to know of it.

    Raises: NotThisOrder where the event has another venue id; IllegalTransition where a venue
    reports something of an order that was never sent.
    """
    if None not in (order.venue_order_id, event.venue_order_id) and (
        order.venue_order_id != event.venue_order_id
    ):
        raise NotThisOrder(
            f"order {order.client_id} is {order.venue_order_id} at its venue: "
            f"an event names {event.venue_order_id}"
        )
    target = _TABLE[order.status].get(event.word)
    if target is None:
        raise IllegalTransition(f"{event.word} for order {order.client_id}, which was never sent")
    if event.word is Word.SEEN and event.asked_at_version != order.version:
        target = _To.BY_FILLS if target is _To.BY_FILLS else _To.SAME  # it may have ended since
    merged = _with_facts(order, event)
    status = _status(merged, target, event.word)
    reason = event.reason if status is not order.status else order.reason
    has_reason = status in (Status.UNKNOWN, Status.CANCELLED, Status.FAILED)
    merged = replace(merged, status=status, reason=reason if has_reason else None)
    alarm = _alarm(order, merged, target)
    if merged == order:
        return Applied(order, alarm)
    return Applied(replace(merged, version=order.version + 1), alarm)


def _with_facts(order: Order, event: OrderEvent) -> Order:
    """Return the order with the event's trade, total and venue id, its status unchanged."""
    fill = event.fill
    if fill is not None and fill.trade_id not in order.trade_ids:
        order = replace(
            order,
            filled=Lots(order.filled + fill.size),
            quote_filled=exact_sum(order.quote_filled, fill.quote),
            trade_ids=order.trade_ids | {fill.trade_id},
        )
    complete = order.size if event.word is Word.FILLED else 0
    total = max(order.venue_filled, order.filled, event.venue_filled or 0, complete)
    venue_order_id = order.venue_order_id or event.venue_order_id
    return replace(order, venue_filled=Lots(total), venue_order_id=venue_order_id)


def _status(order: Order, target: _To, word: Word) -> Status:
    """Return the status that a target stands for, of an order with the event's facts."""
    is_complete = order.filled >= order.size
    match target:
        case _To.SAME:
            return order.status
        case _To.MORE_FILLED:
            return Status.FILLED if is_complete else order.status
        case _To.ENDED:
            return Status.CANCELLED if order.venue_filled else Status.FAILED
        case _To.BY_FILLS | _To.REVIVED:
            if is_complete or word is Word.FILLED:
                return Status.FILLED
            return Status.PARTIALLY_FILLED if order.filled else Status.OPEN
        case _:
            return Status[target.name]


def _alarm(before: Order, after: Order, target: _To) -> Alarm | None:
    if after.venue_filled > after.size and before.venue_filled <= before.size:
        return Alarm.OVERFILLED
    return Alarm.REVIVED if target is _To.REVIVED else None
