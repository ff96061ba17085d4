"""Alerts: what holds now, and what each channel has been sent about it.

An alert is stored before it is sent and marked as sent afterwards, so a process that dies in
between sends it twice rather than never. Each channel has its own list: a broken channel
neither delays the others nor makes them repeat anything.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import TryAgain

# A process that took a message and has not sent it by then has died.
_RETAKE_AFTER_SECONDS = 120.0

# A condition that comes and goes around its threshold is one alert, not twenty.
_RESOLVED_FOR_SECONDS = 30.0

_MAX_MESSAGES = 100  # messages a tick: no tick lasts for ever
_MAX_SINGLE = 5  # more of them come as lists: channels limit how many they take
_MAX_LISTED = 20
_MAX_FAILURES = 2  # sends that fail before a channel is left alone until the next tick


class Severity(StrEnum):
    """How urgent an alert is, the most urgent first."""

    CRITICAL = "CRITICAL"  # money is at risk or stands still: now
    HIGH = "HIGH"  # today
    MEDIUM = "MEDIUM"  # before it becomes worse
    LOW = "LOW"  # for information


class NotSent(TryAgain):
    """A channel did not take a notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that an operator has to know."""

    key: str  # what it is about: sent once while it is open
    severity: Severity
    title: str
    text: str  # the facts, then what to do about them

    @classmethod
    def to_act(cls, key: str, severity: Severity, title: str, facts: str, to_do: str) -> "Alert":
        """Return an alert whose text ends with what to do."""
        return cls(key=key, severity=severity, title=title, text=f"{facts}\nTo do: {to_do}")


class AlertPhase(StrEnum):
    FIRING = "firing"  # it holds, and was not sent
    RESOLVED = "resolved"  # it was sent, and holds no longer
    TRANSIENT = "transient"  # it ended before it could be sent

    @classmethod
    def of(cls, *, sent: bool, resolved: bool) -> "AlertPhase":
        """Return the phase to send next."""
        if not resolved:
            return cls.FIRING
        return cls.RESOLVED if sent else cls.TRANSIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An alert's phase that one channel has still to be sent."""

    id: int
    alert: Alert
    phase: AlertPhase
    since: datetime  # UTC
    until: datetime | None  # UTC; None while it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message as a channel shows it, in plain text."""

    severity: Severity
    title: str
    text: str
    is_resolved: bool  # the alert holds no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSnapshot:
    """What holds now, and what could not be looked at."""

    alerts: Sequence[Alert]
    unknown: frozenset[str]  # keys: such an alert stays open if it is


class Channel(Protocol):
    """One way to a person."""

    @property
    def name(self) -> str:
        """Name the channel, the same at every start, with nothing secret in it."""

    def send(self, notification: Notification) -> None:
        """Hand a notice over.

        Raises:
            NotSent: it was not taken, or perhaps it was; the reason names no secret.
        """


class AlertLog(Protocol):
    """The open alerts, and the messages that each channel has still to be sent."""

    def observe(self, channel: str, snapshot: AlertSnapshot, *, at: datetime) -> None:
        """Open what is new and close what is gone; what is back before its end stays open."""

    def post(self, channel: str, alert: Alert, *, at: datetime) -> None:
        """Queue an alert that is sent once and never resolves, unless it is queued already."""

    def take(
        self,
        channel: str,
        *,
        at: datetime,
        retake_after_seconds: float,
        resolved_for_seconds: float,
        max_messages: int,
    ) -> list[Message]:
        """Take messages that nobody took within `retake_after_seconds`, fewest attempts first.

        A resolution is sent once the alert has been gone for `resolved_for_seconds`.
        """

    def mark_sent(self, messages: Sequence[Message], *, at: datetime) -> None:
        """Mark messages as sent; an alert that changed phase meanwhile is queued again."""

    def release(self, messages: Sequence[Message]) -> None:
        """Return messages to the queue."""

    def open(self, channel: str) -> list[Alert]:
        """List what holds as far as this channel's list knows, the longest open first."""


def update(
    log: AlertLog, channels: Sequence[Channel], snapshot: AlertSnapshot, *, at: datetime
) -> list[str]:
    """Send every channel what fired and what resolved; return one line for each failure."""
    for channel in channels:
        log.observe(channel.name, snapshot, at=at)
    return deliver(log, channels, at=at)


def post(log: AlertLog, channels: Sequence[Channel], alert: Alert, *, at: datetime) -> list[str]:
    """Send every channel a one-off alert; return one line for each failure."""
    for channel in channels:
        log.post(channel.name, alert, at=at)
    return deliver(log, channels, at=at)


def deliver(log: AlertLog, channels: Sequence[Channel], *, at: datetime) -> list[str]:
    """Send what waits on every channel, all channels at once."""
    with ThreadPoolExecutor(max(1, len(channels))) as pool:
        sent = pool.map(lambda channel: _send_waiting(log, channel, at), channels)
        return [problem for problem in sent if problem is not None]


def _send_waiting(log: AlertLog, channel: Channel, at: datetime) -> str | None:
    waiting = log.take(
        channel.name,
        at=at,
        retake_after_seconds=_RETAKE_AFTER_SECONDS,
        resolved_for_seconds=_RESOLVED_FOR_SECONDS,
        max_messages=_MAX_MESSAGES,
    )
    if waiting:
        failpoints.failpoint(failpoints.Point.ALERT_TAKEN)
    failures: list[NotSent] = []
    left = 0
    for batch in _batches(waiting):
        if len(failures) < _MAX_FAILURES:
            try:
                channel.send(notification(batch))
            except NotSent as e:
                failures.append(e)
            else:
                failpoints.failpoint(failpoints.Point.ALERT_SENT)
                log.mark_sent(batch, at=at)
                continue
        log.release(batch)
        left += len(batch)
    return f"{channel.name}: {left} not sent, {failures[-1]}; tried again" if failures else None


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    size = 1 if len(messages) <= _MAX_SINGLE else _MAX_LISTED
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


def notification(messages: Sequence[Message]) -> Notification:
    """Write one message, or a list of several, for a person."""
    ranks = list(Severity)
    worst = min((m.alert.severity for m in messages), key=ranks.index)
    is_resolved = all(m.phase is AlertPhase.RESOLVED for m in messages)
    if len(messages) == 1:
        (message,) = messages
        text = f"{message.alert.text}{_ended(message)}"
        return Notification(
            severity=worst, title=_headline(message), text=text, is_resolved=is_resolved
        )
    ordered = sorted(messages, key=lambda m: (ranks.index(m.alert.severity), m.id))
    lines = [f"{_headline(m)}: {m.alert.text}{_ended(m)}".replace("\n", " ") for m in ordered]
    title = f"[{worst}] {len(messages)} messages"
    return Notification(severity=worst, title=title, text="\n".join(lines), is_resolved=is_resolved)


def _headline(message: Message) -> str:
    prefix = {
        AlertPhase.FIRING: "",
        AlertPhase.RESOLVED: "resolved: ",
        AlertPhase.TRANSIENT: "transient: ",
    }[message.phase]
    return f"[{message.alert.severity}] {prefix}{message.alert.title}"


def _ended(message: Message) -> str:
    if message.phase is AlertPhase.FIRING or message.until is None:
        return ""
    return f"\nIt lasted from {message.since:%Y-%m-%d %H:%M:%S} to {message.until:%H:%M:%S} UTC."
