"""Alerts: what holds now, and what each channel was told about it.

An alert is written down before it is sent and ticked off afterwards, so that a crash in
between sends it again rather than never. Each channel has its own list: one that is out
of order keeps no other waiting and repeats nothing to it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import TryAgain

# Whoever took a message and has not told it by then has died.
_AGAIN_AFTER_SECONDS = 120.0

# A condition that comes and goes around its threshold is one alert, not twenty.
_GONE_FOR_SECONDS = 30.0

_MOST_AT_ONCE = 100  # messages a tick: no tick lasts for ever
_MOST_SINGLY = 5  # more of them come as lists: channels limit how many they take
_MOST_LISTED = 20
_MOST_FAILURES = 2  # sends that fail before a channel is left alone until the next tick


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

    key: str  # what it is about: it is told once while it is open
    severity: Severity
    title: str
    text: str  # the facts, then what to do about them


class News(StrEnum):
    NEW = "new"  # it holds, and was not told
    OVER = "over"  # it was told, and is gone
    BRIEF = "brief"  # it was gone before it could be told

    @classmethod
    def of(cls, *, told: bool, gone: bool) -> "News":
        """Name what is to be told next."""
        if not gone:
            return cls.NEW
        return cls.OVER if told else cls.BRIEF


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one channel is still to be told."""

    id: int
    alert: Alert
    news: News
    since: datetime  # UTC
    until: datetime | None  # UTC; None while it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message as a channel shows it, in plain text."""

    severity: Severity
    title: str
    text: str
    good: bool  # only of what is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What holds now, and what could not be looked at."""

    alerts: Sequence[Alert]
    unknown: frozenset[str]  # keys: such an alert stays open if it is


class Channel(Protocol):
    """One way to a person."""

    @property
    def name(self) -> str:
        """Name the channel, the same at every start, with nothing secret in it."""

    def send(self, notice: Notice) -> None:
        """Hand a notice over.

        Raises:
            NotSent: it was not taken, or perhaps it was; the reason names no secret.
        """


class AlertLog(Protocol):
    """Which alerts are open, and what each channel is still to be told of them."""

    def observe(self, channel: str, picture: Picture, *, at: datetime) -> None:
        """Open what is new and close what is gone; what is back before its end stays open."""

    def post(self, channel: str, alert: Alert, *, at: datetime) -> None:
        """Open an alert that is told once and has no end, unless it waits already."""

    def take(
        self, channel: str, *, at: datetime, again_after: float, gone_for: float, most: int
    ) -> list[Message]:
        """Take what nobody took within `again_after` seconds, the least tried first.

        An end is told when it has lasted for `gone_for` seconds.
        """

    def told(self, messages: Sequence[Message], *, at: datetime) -> None:
        """Tick messages off; what has turned round since they were taken is to be told anew."""

    def give_back(self, messages: Sequence[Message]) -> None:
        """Leave messages to the next who takes."""

    def open(self, channel: str) -> list[Alert]:
        """List what holds as far as this channel's list knows, the longest open first."""


def update(
    log: AlertLog, channels: Sequence[Channel], picture: Picture, *, at: datetime
) -> list[str]:
    """Tell every channel what is new and what is over; return what went wrong, in lines."""
    for channel in channels:
        log.observe(channel.name, picture, at=at)
    return deliver(log, channels, at=at)


def post(log: AlertLog, channels: Sequence[Channel], alert: Alert, *, at: datetime) -> list[str]:
    """Tell every channel once, without an end; return what went wrong, in lines."""
    for channel in channels:
        log.post(channel.name, alert, at=at)
    return deliver(log, channels, at=at)


def deliver(log: AlertLog, channels: Sequence[Channel], *, at: datetime) -> list[str]:
    """Send what waits on every channel, all channels at once."""
    with ThreadPoolExecutor(max(1, len(channels))) as pool:
        told = pool.map(lambda channel: _tell(log, channel, at), channels)
        return [trouble for trouble in told if trouble is not None]


def _tell(log: AlertLog, channel: Channel, at: datetime) -> str | None:
    waiting = log.take(
        channel.name,
        at=at,
        again_after=_AGAIN_AFTER_SECONDS,
        gone_for=_GONE_FOR_SECONDS,
        most=_MOST_AT_ONCE,
    )
    if waiting:
        crash.here(crash.Point.ALERT_TAKEN)
    failures: list[NotSent] = []
    left = 0
    for batch in _batches(waiting):
        if len(failures) < _MOST_FAILURES:
            try:
                channel.send(notice(batch))
            except NotSent as e:
                failures.append(e)
            else:
                crash.here(crash.Point.ALERT_SENT)
                log.told(batch, at=at)
                continue
        log.give_back(batch)
        left += len(batch)
    return f"{channel.name}: {left} not told, {failures[-1]}; tried again" if failures else None


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    size = 1 if len(messages) <= _MOST_SINGLY else _MOST_LISTED
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


def notice(messages: Sequence[Message]) -> Notice:
    """Write one message, or a list of several, for a person."""
    ranks = list(Severity)
    worst = min((m.alert.severity for m in messages), key=ranks.index)
    good = all(m.news is News.OVER for m in messages)
    if len(messages) == 1:
        (message,) = messages
        text = f"{message.alert.text}{_ended(message)}"
        return Notice(severity=worst, title=_headline(message), text=text, good=good)
    ordered = sorted(messages, key=lambda m: (ranks.index(m.alert.severity), m.id))
    lines = [f"{_headline(m)}: {m.alert.text}{_ended(m)}".replace("\n", " ") for m in ordered]
    title = f"[{worst}] {len(messages)} messages"
    return Notice(severity=worst, title=title, text="\n".join(lines), good=good)


def _headline(message: Message) -> str:
    prefix = {News.NEW: "", News.OVER: "over: ", News.BRIEF: "came and went: "}[message.news]
    return f"[{message.alert.severity}] {prefix}{message.alert.title}"


def _ended(message: Message) -> str:
    if message.news is News.NEW or message.until is None:
        return ""
    return f"\nIt lasted from {message.since:%Y-%m-%d %H:%M:%S} to {message.until:%H:%M:%S} UTC."
