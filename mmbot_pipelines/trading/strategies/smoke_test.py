"""A connector's smoke test: buy the smallest size at the touch, sell it again, be flat. Pure.

It ends as a success only when the venue's own answer, our sums and our orders agree that nothing is
left. Whatever went wrong on the way, it flattens what it bought before it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.exchange.market import Lots, MarketKind, Side
from mmbot_pipelines.core.exchange.order import OrderType, TimeInForce
from mmbot_pipelines.core.exchange.strategy import Decision, Intent, Outcome, Result, View
from mmbot_pipelines.trading.strategies.tracking_limit import TrackingLimit

_SETTLE_SECONDS = 5.0  # between the last fill and the exit
_MAX_EXITS = 4  # the exit, and three rounds for what it left
_ROUND_SECONDS = 0.5  # between two of them
# What each has to be at minimum, in seconds.
_MIN_SECONDS = {"tracking_timeout": 1.0, "interval": 1.0, "market_timeout": 1.0, "cancel_wait": 0.5}


class _Phase(StrEnum):
    TRACK = "track"
    EXIT = "exit"
    CHECK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTest:
    """Trade the smallest size there and back on one market."""

    tracking_timeout: float = 120.0  # seconds
    interval: float = 10.0  # seconds
    market_timeout: float = 30.0  # seconds for each order at the market
    offset_ticks: int = 0
    cancel_wait: float = 2.0  # seconds

    def __post_init__(self) -> None:
        for name, least in _MIN_SECONDS.items():
            if getattr(self, name) < least:
                raise InvalidSettings(f"{name} is {getattr(self, name)}: set {least:g} s or more")

    def decide(self, view: View) -> Decision:
        """Return the next step there or back."""
        memory = _Memory.read(view.memory)
        match memory.phase:
            case _Phase.TRACK:
                return self._track(view, memory)
            case _Phase.EXIT:
                return self._exit(view, memory)
            case _Phase.CHECK:
                return self._check(view, memory)

    def _track(self, view: View, memory: "_Memory") -> Decision:
        """Buy the smallest size there is, once a price says what that is."""
        size = memory.size or self._size(view)
        if size is None:
            memory = replace(memory, since=memory.started(view.at))
            ends_at = memory.started(view.at) + timedelta(seconds=self.tracking_timeout)
            if view.at < ends_at:
                return Decision(memory=memory.kept(), wake_at=ends_at)
            return self._to_exit(view, memory.failed("tracking", "timeout: no fresh book"))
        tracking = TrackingLimit(
            side=Side.BUY,
            size=view.market.size(size),
            interval=self.interval,
            timeout=self.tracking_timeout,
            offset_ticks=self.offset_ticks,
            cancel_wait=self.cancel_wait,
        ).decide(replace(view, memory=memory.tracking))
        memory = replace(memory, size=size, tracking=tracking.memory)
        if tracking.result is None:
            return replace(tracking, memory=memory.kept())
        if tracking.result.filled < size:
            memory = memory.failed("tracking", tracking.result.reason)
        return self._to_exit(view, memory)

    def _to_exit(self, view: View, memory: "_Memory") -> Decision:
        since = view.at + timedelta(seconds=_SETTLE_SECONDS)
        memory = replace(memory, phase=_Phase.EXIT, since=since)
        return Decision(memory=memory.kept(), wake_at=since)

    def _exit(self, view: View, memory: "_Memory") -> Decision:
        """Sell what was bought, in a few rounds at most; each waits for the end of the last."""
        since = memory.started(view.at)
        if view.unsettled:
            return self._await_exit(view, memory, since + timedelta(seconds=self.market_timeout))
        left = Lots(view.bought - view.sold)
        if left and memory.exits == 1 and not view.sold:
            memory = memory.failed("exit", (view.last and view.last.reason) or "nothing was sold")
        if not left or memory.exits == _MAX_EXITS:
            return self._check(view, replace(memory, phase=_Phase.CHECK, since=view.at))
        pause = since + timedelta(seconds=_ROUND_SECONDS if memory.exits else 0)
        if view.at < pause:
            return Decision(memory=memory.kept(), wake_at=pause)
        memory = replace(memory, exits=memory.exits + 1, since=view.at)
        ends_at = view.at + timedelta(seconds=self.market_timeout)
        return Decision(memory=memory.kept(), place=(_exit_order(view, left),), wake_at=ends_at)

    def _await_exit(self, view: View, memory: "_Memory", ends_at: datetime) -> Decision:
        if view.at < ends_at:
            return Decision(memory=memory.kept(), wake_at=ends_at)
        again_at = view.at + timedelta(seconds=self.cancel_wait)
        alive = tuple(o.client_id for o in view.unsettled if not o.status.is_terminal)
        return Decision(memory=memory.kept(), cancel=alive, wake_at=again_at)

    def _check(self, view: View, memory: "_Memory") -> Decision:
        """Compare the venue's own answer, asked for after the last fill, with our sums."""
        if view.venue is None or view.venue.at < memory.started(view.at):
            return Decision(memory=memory.kept(), ask_venue=True)
        if left := view.bought - view.sold:
            memory = memory.failed("position", f"{view.market.size(Lots(left))} are left")
        if view.venue.position:
            held = view.market.size(view.venue.position)
            memory = memory.failed("venue", f"it holds a position of {held}")
        if view.venue.open_orders:
            memory = memory.failed("venue", f"it has {view.venue.open_orders} open orders")
        outcome = Outcome.FAILED if memory.failures else Outcome.FINISHED
        reason = "; ".join(sorted(memory.failures)) or "flat"
        result = Result(outcome=outcome, reason=reason, filled=view.bought)
        return Decision(memory=memory.kept(), result=result)

    @staticmethod
    def _size(view: View) -> Lots | None:
        price = view.touch and (view.touch.bid or view.touch.ask)
        return view.market.smallest_order(price) if price else None


def _exit_order(view: View, size: Lots) -> Intent:
    """Return an order that sells at the market; without perpetuals there is nothing to reduce."""
    return Intent(
        side=Side.SELL,
        size=size,
        price=None,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.IOC,
        reduce_only=view.market.kind is MarketKind.PERPETUAL,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """What is kept from one decision to the next."""

    phase: _Phase = _Phase.TRACK
    since: datetime | None = None  # UTC: when the phase, or its newest order, began
    size: Lots | None = None
    exits: int = 0
    failures: tuple[str, ...] = ()  # "name: message"
    tracking: Mapping[str, Any]

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "_Memory":
        if not kept:
            return cls(tracking={})
        since = kept["since"] and datetime.fromisoformat(kept["since"])
        failures = tuple(kept["failures"])
        phase = _Phase(kept["phase"])
        return cls(**{**kept, "since": since, "failures": failures, "phase": phase})

    def kept(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {
            "phase": self.phase.value,
            "since": self.since and self.since.isoformat(),
            "size": self.size,
            "exits": self.exits,
            "failures": list(self.failures),
            "tracking": self.tracking,
        }

    def started(self, at: datetime) -> datetime:
        return self.since or at

    def failed(self, name: str, message: str) -> "_Memory":
        """Return it with one more failure, each named once."""
        failure = f"{name}: {message}"
        known = failure in self.failures
        return self if known else replace(self, failures=(*self.failures, failure))
