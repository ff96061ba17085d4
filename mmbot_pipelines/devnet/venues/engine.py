"""A matching engine for one market: price-time priority, in whole ticks and lots. Pure.

What happens is returned as events, in the order in which it happened; fronts speak them in their
venue's words. `Margin` decides what an account may do with what it has.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Protocol

from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from mmbot_pipelines.core.exchange.market import NO_LOTS, Lots, Market, Side, Ticks
from mmbot_pipelines.core.exchange.order import TimeInForce


class SelfTrade(StrEnum):
    """What happens where an order meets another one of its account."""

    ALLOW = "allow"
    REJECT_TAKER = "reject taker"
    REJECT_MAKER = "reject maker"
    REJECT_BOTH = "reject both"


class End(StrEnum):
    """Why an order is no more in the book, or never was."""

    FILLED = "filled"
    CLIENT = "cancelled by its account"
    EXPIRED = "expired"
    IOC = "the rest of an immediate order"
    FOK = "could not be filled at once and whole"
    POST_ONLY = "would have taken"
    REDUCE_ONLY = "would not reduce a position"
    SELF_TRADE = "met an order of its own account"
    MARKET = "the market does not take it"
    MARGIN = "its account has too little"


@dataclass(slots=True, kw_only=True)
class SimOrder:
    """An order as the engine has it."""

    id: int
    account: str
    side: Side
    size: Lots
    price: Ticks | None  # None: at the market
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    self_trade: SelfTrade = SelfTrade.ALLOW
    expires_at: float | None = None  # seconds of the simulator's clock
    filled: Lots = NO_LOTS
    ended: End | None = None

    @property
    def left(self) -> Lots:
        return Lots(self.size - self.filled)


@dataclass(frozen=True, slots=True)
class Rested:
    """An order was put into the book."""

    order: SimOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Two orders met, at the price of the one that was there."""

    id: int
    price: Ticks
    size: Lots
    taker: SimOrder
    maker: SimOrder


@dataclass(frozen=True, slots=True)
class Ended:
    """An order left the book, or was refused; its `ended` says why."""

    order: SimOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChanged:
    """What rests at a price now; 0 lots: nothing."""

    side: Side
    price: Ticks
    size: Lots


Event = Rested | Trade | Ended | LevelChanged


class Margin(Protocol):
    """What accounts have, and what that allows."""

    def allows(self, order: SimOrder, worst: Ticks, resting: Iterable[SimOrder]) -> bool:
        """Return whether an account may place an order that fills at `worst` or better.

        resting: all orders of the market, of which its own bind what it has.
        """
        ...

    def reducible(self, order: SimOrder) -> Lots:
        """Return how many lots of its account's position an order can reduce."""
        ...

    def trade(self, trade: Trade) -> None:
        """Book a trade for both sides."""
        ...


class _Side:
    """The resting orders of one side, the best price first."""

    def __init__(self, side: Side) -> None:
        self._sign = -side.sign  # the best bid is the highest price
        self._levels: SortedDict = SortedDict()  # price times sign -> orders, the oldest first

    def best(self) -> Ticks | None:
        return Ticks(self._sign * self._levels.keys()[0]) if self._levels else None

    def orders(self) -> Iterator[SimOrder]:
        return chain.from_iterable(self._levels.values())

    def first(self, price: Ticks) -> SimOrder:
        found: SimOrder = self._levels[self._sign * price][0]
        return found

    def add(self, order: SimOrder, price: Ticks) -> None:
        self._levels.setdefault(self._sign * price, deque()).append(order)

    def remove(self, order: SimOrder, price: Ticks) -> None:
        level = self._levels[self._sign * price]
        level.remove(order)
        if not level:
            del self._levels[self._sign * price]

    def size_at(self, price: Ticks) -> Lots:
        return Lots(sum(order.left for order in self._levels.get(self._sign * price, ())))

    def levels(self) -> list[tuple[Ticks, Lots]]:
        return [
            (Ticks(self._sign * key), Lots(sum(order.left for order in orders)))
            for key, orders in self._levels.items()
        ]


@dataclass(slots=True)
class Engine:
    """One market's book and all orders in it."""

    market: Market
    margin: Margin
    resting: dict[int, SimOrder] = field(default_factory=dict)  # by the engine's order id
    _sides: dict[Side, _Side] = field(default_factory=lambda: {side: _Side(side) for side in Side})
    _trades: int = 0

    def best(self, side: Side) -> Ticks | None:
        """Return the best resting price of a side."""
        return self._sides[side].best()

    def levels(self, side: Side) -> list[tuple[Ticks, Lots]]:
        """Return all prices of a side with what rests there, the best first."""
        return self._sides[side].levels()

    def submit(self, order: SimOrder, now: float) -> list[Event]:
        """Match an order, and rest what is left of it where it may rest."""
        events = self.expire(now)
        refused = next(self._refusals(order, now), None)
        if refused is not None:
            return [*events, self._end(order, refused)]
        events += self._match(order)
        if order.ended is not None:
            return events
        if not order.left:
            return [*events, self._end(order, End.FILLED)]
        if order.price is None or order.time_in_force is not TimeInForce.GTC:
            return [*events, self._end(order, End.IOC)]
        self._sides[order.side].add(order, order.price)
        self.resting[order.id] = order
        return [*events, Rested(order), self._level(order.side, order.price)]

    def cancel(self, order_id: int, reason: End = End.CLIENT) -> list[Event]:
        """Take an order out of the book; nothing happens where it is not there."""
        order = self.resting.get(order_id)
        return [] if order is None else self._take_out(order, reason)

    def expire(self, now: float) -> list[Event]:
        """Take out what is over."""
        over = [
            o for o in self.resting.values() if o.expires_at is not None and o.expires_at <= now
        ]
        return [event for order in over for event in self._take_out(order, End.EXPIRED)]

    def _refusals(self, order: SimOrder, now: float) -> Iterator[End]:
        """Yield why an order is refused before it meets another."""
        best = self.best(order.side.opposite)
        worst = order.price if order.price is not None else self._worst(order)
        if order.expires_at is not None and order.expires_at <= now:
            yield End.EXPIRED
        if worst is None:
            yield End.IOC  # at the market, and there is none
        elif self.market.refusal(worst, order.size):
            yield End.MARKET
        elif not self.margin.allows(order, worst, self.resting.values()):
            yield End.MARGIN
        if order.reduce_only and not self.margin.reducible(order):
            yield End.REDUCE_ONLY
        if order.post_only and best is not None and _crosses(order, best):
            yield End.POST_ONLY
        if order.time_in_force is TimeInForce.FOK and self._fillable(order) < order.size:
            yield End.FOK

    def _match(self, order: SimOrder) -> list[Event]:
        events: list[Event] = []
        makers = self._sides[order.side.opposite]
        while order.left and order.ended is None:
            price = makers.best()
            if price is None or not _crosses(order, price):
                break
            maker = makers.first(price)
            if maker.account == order.account and order.self_trade is not SelfTrade.ALLOW:
                events += self._self_trade(order, maker)
                continue
            size = Lots(min(order.left, maker.left, self._may_fill(order), self._may_fill(maker)))
            if size:
                events += self._trade(order, maker, price, size)
            elif not self._may_fill(maker):
                events += self._take_out(maker, End.REDUCE_ONLY)
            else:
                events.append(self._end(order, End.REDUCE_ONLY))
        return events

    def _trade(self, taker: SimOrder, maker: SimOrder, price: Ticks, size: Lots) -> list[Event]:
        self._trades += 1
        for order in (taker, maker):
            order.filled = Lots(order.filled + size)
        trade = Trade(id=self._trades, price=price, size=size, taker=taker, maker=maker)
        self.margin.trade(trade)
        if maker.left:
            return [trade, self._level(maker.side, price)]
        return [trade, *self._take_out(maker, End.FILLED)]

    def _self_trade(self, taker: SimOrder, maker: SimOrder) -> list[Event]:
        events: list[Event] = []
        if taker.self_trade in (SelfTrade.REJECT_MAKER, SelfTrade.REJECT_BOTH):
            events += self._take_out(maker, End.SELF_TRADE)
        if taker.self_trade in (SelfTrade.REJECT_TAKER, SelfTrade.REJECT_BOTH):
            events.append(self._end(taker, End.SELF_TRADE))
        return events

    def _may_fill(self, order: SimOrder) -> Lots:
        return self.margin.reducible(order) if order.reduce_only else order.left

    def _against(self, order: SimOrder) -> Iterator[SimOrder]:
        """Yield what an order would meet at any price, the best first."""
        for maker in self._sides[order.side.opposite].orders():
            is_own = maker.account == order.account
            if not is_own or order.self_trade is SelfTrade.ALLOW:
                yield maker
            elif order.self_trade is not SelfTrade.REJECT_MAKER:
                return

    def _fillable(self, order: SimOrder) -> int:
        makers = (m for m in self._against(order) if m.price is not None)
        return sum(m.left for m in makers if m.price is not None and _crosses(order, m.price))

    def _worst(self, order: SimOrder) -> Ticks | None:
        """Return the price of the last lot that an order at the market would take."""
        left, worst = int(order.size), None
        for maker in self._against(order):
            worst, left = maker.price, left - maker.left
            if left <= 0:
                break
        return worst

    def _take_out(self, order: SimOrder, reason: End) -> list[Event]:
        assert order.price is not None
        del self.resting[order.id]
        self._sides[order.side].remove(order, order.price)
        return [self._end(order, reason), self._level(order.side, order.price)]

    def _end(self, order: SimOrder, reason: End) -> Ended:
        order.ended = reason
        return Ended(order)

    def _level(self, side: Side, price: Ticks) -> LevelChanged:
        return LevelChanged(side=side, price=price, size=self._sides[side].size_at(price))


def _crosses(order: SimOrder, price: Ticks) -> bool:
    """Return whether an order takes what rests at a price."""
    return order.price is None or order.side.sign * (order.price - price) >= 0
