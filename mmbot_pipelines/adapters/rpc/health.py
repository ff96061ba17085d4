"""Health of one RPC node: score, lag and circuit breaker.

Pure: the caller passes the time, in seconds of any clock that only rises.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

_FAULTS_TO_OPEN = 3  # in a row
_MIN_OPEN_SECONDS = 5.0  # seconds; each further opening in a row is twice as long
_MAX_OPEN_SECONDS = 300.0
_MAX_PAUSE_SECONDS = 30.0  # that a node is obeyed where no other can be asked
_MEMORY = 0.8  # share of the past in the averages: about the last five asked
_TOLERATED_LAG = 5  # blocks: heights are never read at the same instant
_OLD_SECONDS = 30.0  # age of a newest block from which on a node admits to be behind
_END_OF_TIME = 253_402_300_800  # Unix time of the year 10000, which a date cannot have
_BEHIND = 0.1  # what is left of the score of a node that lags more
_AS_GOOD = 0.75  # of the best score: among these the one named first is asked


class NodeFaultKind(StrEnum):
    """What is wrong with a node, or with its answers."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timed out"
    RATE_LIMITED = "rate limited"
    HTTP = "HTTP error"
    GARBAGE = "no JSON-RPC"
    TOO_LARGE = "answer too large"
    INTERNAL = "internal error"
    BEHIND = "behind"
    WRONG_CHAIN = "wrong chain"
    OUTVOTED = "contradicts the others"


class NodeFault(Exception):
    """The node gave no usable answer; the text names no URL."""

    def __init__(
        self,
        text: str,
        kind: NodeFaultKind = NodeFaultKind.GARBAGE,
        *,
        retry_after_seconds: float = 0.0,
    ) -> None:
        """Describe the fault.

        retry_after_seconds: how long the node wants not to be asked (HTTP's Retry-After).
        """
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds
        super().__init__(text)


# Each further try would cost a whole timeout, or make a limit worse, or reach a wrong chain.
_AT_ONCE = (NodeFaultKind.TIMEOUT, NodeFaultKind.RATE_LIMITED, NodeFaultKind.WRONG_CHAIN)

# About the question or the head of the chain: no reason to open the breaker.
_NON_TRIPPING = (NodeFaultKind.TOO_LARGE, NodeFaultKind.BEHIND)

# Makes a node worse, but lets it serve: a hostile contract may have provoked it.
_DUBIOUS = (NodeFaultKind.INTERNAL, NodeFaultKind.OUTVOTED)


@dataclass(frozen=True, slots=True)
class ReportedHead:
    """The newest block that a node reports."""

    height: int
    made_at: float | None = None  # Unix time; None where the node shows no possible one

    @staticmethod
    def read(height: int, made_at: int | None) -> "ReportedHead":
        """Return the head, with its time where that is a possible one."""
        can_be = made_at is not None and made_at < _END_OF_TIME
        return ReportedHead(height, made_at if can_be else None)


def lags(heads: Sequence[ReportedHead], now: float) -> list[int]:
    """Return how many blocks each node is behind the others.

    A height that only one node reports moves nobody: it counts as ahead of the second highest
    by nothing. But a node whose own newest block is old admits that there are newer ones: it is
    behind the highest that shows a new one. Where the whole chain stands still, nobody does.
    """
    heights = sorted((head.height for head in heads), reverse=True)
    second = heights[min(1, len(heights) - 1)] if heights else 0
    old = [head.made_at is not None and now - head.made_at > _OLD_SECONDS for head in heads]
    new = [
        head.height
        for head, is_old in zip(heads, old, strict=True)
        if head.made_at is not None and not is_old
    ]
    return [
        max(0, (max([second, *new]) if is_old else second) - head.height)
        for head, is_old in zip(heads, old, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHealthReport:
    """The record of one node's health at one time, for alerts, metrics, guard and doctor."""

    chain: str
    host: str  # and port; nothing else of the URL
    primary: bool
    is_serving: bool  # its breaker is closed
    score: float  # 1 is best
    seconds: float | None  # that it takes to answer, on average
    lag: int | None  # blocks behind the others, see `lags`
    fault: str | None  # the last one, gone with the next success
    fault_kind: NodeFaultKind | None
    head: ReportedHead | None  # None where it gave none when it was polled last


class NodeHealth:
    """The health that is kept of one node. Threads may share it."""

    def __init__(self) -> None:
        self.lag: int | None = None  # blocks behind the others at the last look
        self.height = 0  # that it reported last
        self.head: ReportedHead | None = None  # at the last look, None where there was none
        self.fault: NodeFault | None = None
        self.seconds: float | None = None
        self._success = 1.0
        self._in_a_row = 0
        self._rest = _MIN_OPEN_SECONDS
        self._open_until: float | None = None
        self._paused_until: float | None = None
        self._lock = threading.Lock()

    @property
    def is_serving(self) -> bool:
        """Return whether the breaker is closed."""
        return self._open_until is None

    @property
    def score(self) -> float:
        """Return success, speed and freshness in one number from 0 to 1."""
        speed = 1 / (1 + (self.seconds or 0.0))
        fresh = 1.0 if (self.lag or 0) <= _TOLERATED_LAG else _BEHIND
        return self._success * speed * fresh

    def can_retry(self, now: float) -> bool:
        """Return whether an open breaker may be tried again (half-open)."""
        return self._open_until is not None and now >= self._open_until

    def refuse_if_paused(self, now: float) -> None:
        """Check that the node has not asked for a pause that is still on (Retry-After).

        Raises:
            NodeFault: it has; asking now would make its limit worse.
        """
        if self._paused_until is not None and now < self._paused_until:
            left = self._paused_until - now
            raise NodeFault(f"limits our rate for {left:.0f} s", NodeFaultKind.RATE_LIMITED)

    def record_success(self, seconds: float | None = None) -> bool:
        """Record an answer; return whether this closes the breaker.

        seconds: that it took, given only where all nodes are asked the same.
        """
        with self._lock:
            was_open = not self.is_serving
            self._success = _MEMORY * self._success + 1 - _MEMORY
            if seconds is not None:
                past = seconds if self.seconds is None else self.seconds
                self.seconds = _MEMORY * past + (1 - _MEMORY) * seconds
            self._in_a_row, self._rest = 0, _MIN_OPEN_SECONDS
            self._open_until = self._paused_until = self.fault = None
            return was_open

    def record_failure(self, fault: NodeFault, now: float) -> float | None:
        """Record a fault; return for how many seconds it opens the breaker, or None."""
        with self._lock:
            self.fault = fault
            kind, retry_after = fault.kind, fault.retry_after_seconds
            if retry_after > 0:
                self._paused_until = now + min(retry_after, _MAX_PAUSE_SECONDS)
            if kind in _NON_TRIPPING:
                return None
            self._success *= _MEMORY
            if kind in _DUBIOUS:
                return None
            self._in_a_row += 1
            trial = self.can_retry(now)
            if not self.is_serving and not trial:
                return None
            if not (trial or kind in _AT_ONCE or self._in_a_row >= _FAULTS_TO_OPEN):
                return None
            open_seconds = max(self._rest, min(retry_after, _MAX_OPEN_SECONDS))
            if kind is NodeFaultKind.WRONG_CHAIN:
                open_seconds = _MAX_OPEN_SECONDS
            self._open_until, self._rest = (
                now + open_seconds,
                min(2 * self._rest, _MAX_OPEN_SECONDS),
            )
            return open_seconds

    def reading(self, chain: str, host: str, *, primary: bool) -> NodeHealthReport:
        """Return the record as it is now; it has no part of the URL but its host."""
        return NodeHealthReport(
            chain=chain,
            host=host,
            primary=primary,
            is_serving=self.is_serving,
            score=self.score,
            seconds=self.seconds,
            lag=self.lag,
            fault=None if self.fault is None else str(self.fault),
            fault_kind=None if self.fault is None else self.fault.kind,
            head=self.head,
        )


class HasHealth(Protocol):
    """A node with its health, whatever its protocol."""

    host: str
    health: NodeHealth
    verified: bool  # that it serves the expected chain


W = TypeVar("W", bound=HasHealth)


def best_first(nodes: Iterable[W], first: W | None = None) -> list[W]:
    """Sort nodes, best first; open circuits come last, for when no other node answers.

    The one named first in the settings is preferred while it is about as good.
    """
    nodes = list(nodes)
    best = max((node.health.score for node in nodes if _serves(node)), default=0.0)

    def place(node: W) -> tuple[bool, bool, bool, float]:
        score = node.health.score
        worse = 0.0 if score >= _AS_GOOD * best else 1 - score
        return node is not first, not node.health.is_serving, not _serves(node), worse

    return sorted(nodes, key=place)


def _serves(node: HasHealth) -> bool:
    return node.verified and node.health.is_serving
