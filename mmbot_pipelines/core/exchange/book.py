"""An order book that knows whether it can be believed: each update has to follow the last. Pure.

A gap in the numbers or a crossed book makes it unusable until the next snapshot: no price is taken
from what may be wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest, nsmallest

from mmbot_pipelines.core.exchange.market import Lots, Side, Ticks

Level = tuple[Ticks, Lots]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Levels that changed; their sizes are absolute, and 0 removes a level."""

    previous: int  # the venue's number of what it follows
    sequence: int  # and of this
    bids: Sequence[Level]
    asks: Sequence[Level]
    at: datetime  # UTC: when it was received


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """The best price of each side; None where a side is empty."""

    bid: Ticks | None
    ask: Ticks | None
    at: datetime  # UTC


@dataclass(slots=True)
class OrderBook:
    """The levels of one market, from its last snapshot on."""

    _bids: dict[Ticks, Lots] = field(default_factory=dict)
    _asks: dict[Ticks, Lots] = field(default_factory=dict)
    _sequence: int | None = None  # None: not usable
    _is_first: bool = False  # no changes came since the snapshot
    _touch: Touch | None = None  # of the present levels, found when it is asked for
    fault: str | None = "no snapshot yet"

    def reset(
        self, sequence: int, bids: Iterable[Level], asks: Iterable[Level], at: datetime
    ) -> None:
        """Take a snapshot: all levels at a sequence number."""
        self._bids = {price: size for price, size in bids if size > 0}
        self._asks = {price: size for price, size in asks if size > 0}
        self._sequence, self._is_first, self.fault = sequence, True, None
        self._touched(at)

    def apply(self, changes: Changes) -> bool:
        """Apply changes that follow what it holds; return whether it can be believed after them.

        What a snapshot has already is skipped; the first changes after one may overlap it.
        """
        if self._sequence is None:
            return False
        if changes.sequence <= self._sequence:
            return True
        overlaps = changes.previous < self._sequence and self._is_first
        if changes.previous != self._sequence and not overlaps:
            self.invalidate(f"a gap: {changes.previous} does not follow {self._sequence}")
            return False
        _change(self._bids, changes.bids)
        _change(self._asks, changes.asks)
        self._sequence, self._is_first = changes.sequence, False
        self._touched(changes.at)
        return self.fault is None

    def invalidate(self, fault: str) -> None:
        """Believe nothing of it until the next snapshot."""
        self._sequence, self._touch, self.fault = None, None, fault

    def touch(self) -> Touch | None:
        """Return the best prices, or None while the book cannot be believed."""
        return self._touch

    def depth(self, side: Side, levels: int) -> list[Level]:
        """Return the best levels of a side, the best first; none while it cannot be believed."""
        if self._sequence is None:
            return []
        if side is Side.BUY:
            return nlargest(levels, self._bids.items())
        return nsmallest(levels, self._asks.items())

    def _touched(self, at: datetime) -> None:
        bid, ask = max(self._bids, default=None), min(self._asks, default=None)
        if bid is not None and ask is not None and bid >= ask:
            self.invalidate(f"crossed: a bid of {bid} ticks is not below an ask of {ask}")
        else:
            self._touch = Touch(bid=bid, ask=ask, at=at)


def _change(side: dict[Ticks, Lots], levels: Iterable[Level]) -> None:
    for price, size in levels:
        if size > 0:
            side[price] = size
        else:
            side.pop(price, None)
