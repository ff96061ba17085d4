"""A venue that loses, delays, repeats and mixes its reports, and a session that trades on it."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import Lots, Market, Side, Ticks
from mmbot_pipelines.core.exchange.order import Order, OrderEvent, Status, Word, apply, submitting
from mmbot_pipelines.core.exchange.strategy import (
    Decision,
    Intent,
    Result,
    Strategy,
    VenueState,
    View,
)
from tests.core.exchange.orders import NOON, a_fill, an_order, event


class Accepting(random.Random):
    """Nothing goes wrong."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def random(self) -> float:
        return 1.0

    def shuffle(self, x: Any) -> None:
        """Leave the order as it is."""


@dataclass
class _AtVenue:
    """One order as the venue has it."""

    size: int
    side: Side
    filled: int = 0
    is_open: bool = True

    @property
    def open_size(self) -> int:
        return self.size - self.filled if self.is_open else 0


@dataclass
class FaultyVenue:
    """Orders at a venue whose reports come late, twice, mixed or not at all."""

    rng: random.Random
    orders: dict[int, _AtVenue] = field(default_factory=dict)
    reports: list[tuple[int, OrderEvent]] = field(default_factory=list)  # not yet delivered
    trades: int = 0

    @property
    def filled(self) -> int:
        return sum(order.filled for order in self.orders.values())

    @property
    def exposed(self) -> int:
        """Return what was filled and what may still be."""
        return self.filled + sum(order.open_size for order in self.orders.values())

    @property
    def position(self) -> Lots:
        return Lots(sum(order.side.sign * order.filled for order in self.orders.values()))

    def state(self, at: datetime) -> VenueState:
        """Answer what is open and held."""
        alive = sum(order.is_open for order in self.orders.values())
        return VenueState(at=at, open_orders=alive, position=self.position)

    def place(self, order: Order) -> None:
        match self.rng.choice(["accepted", "accepted", "no answer", "lost", "would have taken"]):
            case "would have taken":
                self._report(order.client_id, event(Word.REJECTED, 0, reason="post-only: taken"))
                return
            case "lost":
                self._report(order.client_id, event(Word.NO_ANSWER, reason="timed out"))
                return
            case "no answer":
                self._report(order.client_id, event(Word.NO_ANSWER, reason="timed out"))
            case _:
                self._report(order.client_id, event(Word.ACCEPTED, 0))
        self.orders[order.client_id] = _AtVenue(size=order.size, side=order.side)

    def cancel(self, client_id: int) -> None:
        order = self.orders.get(client_id)
        if order is None or self.rng.random() < 0.3:  # lost
            return
        if order.is_open:
            self._end(client_id, order)

    def trade(self) -> None:
        """Fill a part of an open order, or all of it."""
        alive = [each for each in self.orders.items() if each[1].open_size]
        if not alive:
            return
        client_id, order = self.rng.choice(alive)
        size = self.rng.randint(1, order.open_size)
        order.filled += size
        self.trades += 1
        total = Lots(order.filled)
        trade = a_fill(str(self.trades), size)
        self._report(client_id, OrderEvent(word=Word.FILL, fill=trade, venue_filled=total))
        if order.filled == order.size:
            order.is_open = False
            self._report(client_id, event(Word.FILLED, order.filled))

    def look_up(self, order: Order) -> OrderEvent:
        """Answer a question about an order; what never arrived can no longer."""
        known = self.orders.get(order.client_id)
        if known is None:
            return event(Word.IMPOSSIBLE, 0, reason="never arrived")
        if known.is_open:
            return event(Word.SEEN, known.filled, asked_at_version=order.version)
        word = Word.FILLED if known.filled == known.size else Word.CANCELED
        return event(word, known.filled)

    def _end(self, client_id: int, order: _AtVenue) -> None:
        order.is_open = False
        self._report(client_id, event(Word.CANCELED, order.filled, reason="CLIENT"))

    def _report(self, client_id: int, reported: OrderEvent) -> None:
        self.reports += [(client_id, reported)] * self.rng.choice([1, 1, 2])
        self.rng.shuffle(self.reports)


@dataclass
class Session:
    """A strategy whose decisions go to a venue, and what it has heard of its orders."""

    strategy: Strategy
    venue: FaultyVenue
    market: Market
    touch: Touch | None = field(
        default_factory=lambda: Touch(bid=Ticks(99), ask=Ticks(101), at=NOON)
    )
    orders: dict[int, Order] = field(default_factory=dict)
    view: View = field(init=False)
    result: Result | None = None

    def __post_init__(self) -> None:
        self.view = View(at=NOON, market=self.market, touch=self.touch)

    def decide(self, seconds: float = 0.0) -> Decision:
        """Ask the strategy after so many seconds, and do what it decides."""
        bought, sold = (
            Lots(sum(order.filled for order in self.orders.values() if order.side is side))
            for side in (Side.BUY, Side.SELL)
        )
        self.view = replace(
            self.view,
            at=self.view.at + timedelta(seconds=seconds),
            touch=self.touch,
            unsettled=[order for order in self.orders.values() if not order.is_settled],
            last=self.orders[max(self.orders)] if self.orders else None,
            bought=bought,
            sold=sold,
        )
        decision = self.strategy.decide(self.view)
        if decision.ask_venue:
            self.view = replace(self.view, venue=self.venue.state(self.view.at))
        self.view = replace(self.view, memory=decision.memory)
        self.result = decision.result
        for client_id in decision.cancel:
            self.venue.cancel(client_id)
        for intent in decision.place:
            self._place(intent)
        return decision

    def deliver(self, count: int) -> None:
        """Take so many of the venue's reports."""
        for _ in range(min(count, len(self.venue.reports))):
            self.apply(*self.venue.reports.pop(0))

    def look_up(self) -> None:
        """Ask the venue about all orders that are not settled."""
        for order in [order for order in self.orders.values() if not order.is_settled]:
            self.apply(order.client_id, self.venue.look_up(order))

    def apply(self, client_id: int, reported: OrderEvent) -> None:
        self.orders[client_id] = apply(self.orders[client_id], reported).order

    def _place(self, intent: Intent) -> None:
        client_id = len(self.orders) + 1
        order = an_order(
            Status.NEW, client_id=client_id, side=intent.side, size=intent.size, price=intent.price
        )
        self.orders[client_id] = submitting(order)
        self.venue.place(order)
