"""A venue's budget of requests: a token bucket with weights, where cancels go first. Pure.

The caller passes in the time, in seconds of one clock. Nothing is sent without its tokens, so the
budget is never exceeded; what is less urgent waits while something more urgent does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count


class Priority(IntEnum):
    CANCEL = 0
    CREATE = 1
    READ = 2


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """One request that waits for its turn."""

    priority: Priority
    number: int  # earlier ones of the same priority go first
    weight: int = field(compare=False)


@dataclass(slots=True, kw_only=True)
class RateLimit:
    """What may be sent now, and how long the next one waits."""

    capacity: int  # tokens: the most that may be sent at once
    per_second: float
    # Tokens that are left for what is more urgent.
    reserved: Mapping[Priority, int] = field(default_factory=dict)
    _tokens: float = field(init=False)
    _at: float = 0.0
    _closed_until: float = 0.0
    _waiting: list[Ticket] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self._tokens = float(self.capacity)

    def ask(self, priority: Priority, weight: int = 1) -> Ticket:
        """Queue a request. Raises: ValueError for one that can never be sent."""
        room = self.capacity - self.reserved.get(priority, 0)
        if not 0 < weight <= room:
            raise ValueError(f"a request of weight {weight} does not fit into a budget of {room}")
        ticket = Ticket(priority, next(self._numbers), weight)
        heappush(self._waiting, ticket)
        return ticket

    def next(self, now: float) -> Ticket | None:
        """Return the request that may be sent now, its tokens spent; None where none may."""
        self._refill(now)
        if not self._waiting or self.wait_seconds(now) > 0:
            return None
        ticket = heappop(self._waiting)
        self._tokens -= ticket.weight
        return ticket

    def wait_seconds(self, now: float) -> float:
        """Return how long the most urgent request waits, or how long nothing may be sent."""
        self._refill(now)
        closed = max(0.0, self._closed_until - now)
        if not self._waiting:
            return closed
        first = self._waiting[0]
        lacking = first.weight + self.reserved.get(first.priority, 0) - self._tokens
        return max(closed, lacking / self.per_second)

    def forget(self, ticket: Ticket) -> None:
        """Take a request out of the queue whose caller has gone."""
        self._waiting = sorted(waiting for waiting in self._waiting if waiting != ticket)

    def refused(self, now: float, retry_after_seconds: float) -> None:
        """Send nothing for so long: the venue counted more than we did (429)."""
        self._refill(now)
        self._tokens = min(self._tokens, 0.0)
        self._closed_until = max(self._closed_until, now + retry_after_seconds)

    def left(self, now: float) -> float:
        """Return the tokens that are there now."""
        self._refill(now)
        return self._tokens

    def _refill(self, now: float) -> None:
        if now > self._at:
            refilled = self._tokens + (now - self._at) * self.per_second
            self._tokens, self._at = min(float(self.capacity), refilled), now
