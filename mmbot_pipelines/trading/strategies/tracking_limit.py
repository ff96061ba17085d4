"""A limit order that follows the touch until all of it is filled, or its time is over. Pure.

There is one order at a time: the next is placed for what is still missing, and only after the last
one is settled, so that no fill is ever bought twice.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import Lots, Market, OffGrid, Side, Ticks
from mmbot_pipelines.core.exchange.order import Order, Status
from mmbot_pipelines.core.exchange.strategy import Decision, Intent, Memory, Outcome, Result, View

POST_ONLY = "post-only"  # how the reason of an order begins that would have taken


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingLimit:
    """Buy or sell a size at the touch, moving with it."""

    side: Side
    size: Decimal  # base units
    interval: float = 10.0  # seconds between moves
    timeout: float = 120.0  # seconds in all
    offset_ticks: int = 0  # away from the touch; below 0 towards the other side
    cancel_wait: float = 2.0  # seconds after which a cancel without an answer is repeated
    post_only: bool = False
    reduce_only: bool = False

    def lots(self, market: Market) -> Lots:
        """Return the size to fill.

        Raises: InvalidSettings where it is not above 0 or off the market's grid.
        """
        try:
            lots = market.lots(self.size)
        except OffGrid as error:
            raise InvalidSettings(f"size: {error}") from error
        if lots <= 0:
            raise InvalidSettings(f"size is {self.size}: it has to be above 0")
        return lots

    def decide(self, view: View) -> Decision:
        """Return the next step towards the size."""
        memory = _Memory.read(view, self.timeout)
        if view.unsettled:
            return self._follow(view, memory)
        memory = _after_rejection(view.last, memory)
        price = self.price(view.touch, memory.ticks_away)
        missing = Lots(self.lots(view.market) - view.filled(self.side))
        result = self._result(view, memory, price, missing)
        if result is not None:
            return Decision(memory=memory.kept(), result=result)
        if price is None:
            return Decision(memory=memory.kept(), wake_at=memory.ends_at)
        order = Intent(
            side=self.side,
            size=missing,
            price=price,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
        )
        move_at = min(view.at + timedelta(seconds=self.interval), memory.ends_at)
        memory = replace(memory, move_at=move_at, cancelled_at=None)
        return Decision(memory=memory.kept(), place=(order,), wake_at=move_at)

    def price(self, touch: Touch | None, away: int = 0) -> Ticks | None:
        """Return the price of an order at the touch, or None without any best price.

        away: ticks further from the touch, after an order would have taken.
        """
        if touch is None:
            return None
        offset = self.offset_ticks + away
        bid, ask = touch.bid, touch.ask
        if self.side is Side.BUY:
            best = bid if bid is not None else ask
            prices = [] if best is None else [best - offset]
            prices += [] if ask is None else [ask - 1]
            return Ticks(max(1, min(prices))) if prices else None
        best = ask if ask is not None else bid
        prices = [] if best is None else [best + offset]
        prices += [] if bid is None else [bid + 1]
        return Ticks(max(1, *prices)) if prices else None

    def _follow(self, view: View, memory: "_Memory") -> Decision:
        """Wait for the order at the touch; cancel it once its time there is over."""
        order = view.unsettled[0]
        if order.status.is_terminal:
            return Decision(memory=memory.kept())  # its last fills are on their way
        due_at = memory.move_at or view.at
        if memory.cancelled_at is not None:
            due_at = memory.cancelled_at + timedelta(seconds=self.cancel_wait)
        if view.at < due_at:
            return Decision(memory=memory.kept(), wake_at=due_at)
        memory = replace(memory, cancelled_at=view.at)
        again_at = view.at + timedelta(seconds=self.cancel_wait)
        return Decision(memory=memory.kept(), cancel=(order.client_id,), wake_at=again_at)

    def _result(
        self, view: View, memory: "_Memory", price: Ticks | None, missing: Lots
    ) -> Result | None:
        """Return how it ended, or None while there is something left to do."""
        filled, last = view.filled(self.side), view.last
        if missing <= 0:
            return Result(outcome=Outcome.FINISHED, reason="filled", filled=filled)
        if last is not None and last.status is Status.FAILED and not _would_have_taken(last):
            return Result(outcome=Outcome.FAILED, reason=last.reason or "rejected", filled=filled)
        if filled and price is not None and missing < view.market.smallest_order(price):
            reason = f"filled but for {view.market.size(missing)}: below the smallest order"
            return Result(outcome=Outcome.FINISHED, reason=reason, filled=filled)
        if view.at >= memory.ends_at:
            reason = "timeout" if price is not None else "timeout: no fresh book"
            return Result(outcome=Outcome.FINISHED, reason=reason, filled=filled)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """What is kept from one decision to the next; times in UTC."""

    ends_at: datetime
    move_at: datetime | None = None  # when the order at the touch is cancelled
    cancelled_at: datetime | None = None  # when that was last asked for
    ticks_away: int = 0
    rejected: int | None = None  # the newest order that went a tick further

    @classmethod
    def read(cls, view: View, timeout: float) -> "_Memory":
        kept = view.memory
        if not kept:
            return cls(ends_at=view.at + timedelta(seconds=timeout))
        return cls(
            ends_at=datetime.fromisoformat(kept["ends_at"]),
            move_at=_time(kept["move_at"]),
            cancelled_at=_time(kept["cancelled_at"]),
            ticks_away=kept["ticks_away"],
            rejected=kept["rejected"],
        )

    def kept(self) -> Memory:
        """Return it as it is stored."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }


def _time(kept: str | None) -> datetime | None:
    return None if kept is None else datetime.fromisoformat(kept)


def _after_rejection(last: Order | None, memory: _Memory) -> _Memory:
    """Go a tick further from the touch for each order that would have taken."""
    if last is None or not _would_have_taken(last) or memory.rejected == last.client_id:
        return memory
    return replace(memory, ticks_away=memory.ticks_away + 1, rejected=last.client_id)


def _would_have_taken(order: Order) -> bool:
    return (order.reason or "").startswith(POST_ONLY)
