"""The twins in memory of the ports `AlertLog` and `Channel`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mmbot_pipelines.core.alerts import (
    Alert,
    AlertPhase,
    AlertSnapshot,
    Message,
    Notification,
    NotSent,
)


@dataclass
class Row:
    id: int
    channel: str
    alert: Alert
    lasting: bool
    since: datetime
    sent_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    taken_at: datetime | None = None
    tries: int = 0


class AlertLogMemory:
    """The port `AlertLog`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._turn = threading.RLock()

    def observe(self, channel: str, snapshot: AlertSnapshot, *, at: datetime) -> None:
        kept = {alert.key for alert in snapshot.alerts} | snapshot.unknown
        with self._turn:
            for alert in snapshot.alerts:
                self._open(channel, alert, lasting=True, at=at)
            for row in self._waiting(channel):
                if row.lasting and row.resolved_at is None and row.alert.key not in kept:
                    row.resolved_at = at

    def post(self, channel: str, alert: Alert, *, at: datetime) -> None:
        with self._turn:
            self._open(channel, alert, lasting=False, at=at)

    def take(
        self,
        channel: str,
        *,
        at: datetime,
        retake_after_seconds: float,
        resolved_for_seconds: float,
        max_messages: int,
    ) -> list[Message]:
        long_ago = at - timedelta(seconds=retake_after_seconds)
        calm_since = at - timedelta(seconds=resolved_for_seconds)
        with self._turn:
            free = [
                row
                for row in self._waiting(channel)
                if (
                    row.sent_at is None
                    or (row.lasting and row.resolved_at and row.resolved_at <= calm_since)
                )
                and (row.taken_at is None or row.taken_at <= long_ago)
            ]
            taken = sorted(free, key=lambda row: (row.tries, row.id))[:max_messages]
            for row in taken:
                row.taken_at = at
            return [_message(row) for row in taken]

    def mark_sent(self, messages: Sequence[Message], *, at: datetime) -> None:
        with self._turn:
            for message in messages:
                row = self.rows[message.id]
                row.taken_at, row.tries = None, 0
                if message.phase is AlertPhase.FIRING:
                    row.sent_at = at
                    row.closed_at = None if row.lasting else at
                else:
                    row.sent_at = row.closed_at = at if row.resolved_at else None

    def release(self, messages: Sequence[Message]) -> None:
        with self._turn:
            for message in messages:
                row = self.rows[message.id]
                row.taken_at, row.tries = None, row.tries + 1

    def open(self, channel: str) -> list[Alert]:
        with self._turn:
            return [
                row.alert
                for row in self._waiting(channel)
                if row.lasting and row.resolved_at is None
            ]

    def _open(self, channel: str, alert: Alert, *, lasting: bool, at: datetime) -> None:
        for row in self._waiting(channel):
            if row.alert.key == alert.key:
                row.alert, row.resolved_at = alert, None
                return
        self.rows.append(Row(len(self.rows), channel, alert, lasting, at))

    def _waiting(self, channel: str) -> list[Row]:
        return [row for row in self.rows if row.channel == channel and row.closed_at is None]


def _message(row: Row) -> Message:
    phase = AlertPhase.of(sent=row.sent_at is not None, resolved=row.resolved_at is not None)
    return Message(id=row.id, alert=row.alert, phase=phase, since=row.since, until=row.resolved_at)


@dataclass
class ChannelMemory:
    """The port `Channel`: while `down`, it takes nothing."""

    name: str = "memory"
    down: bool = False
    taken: list[Notification] = field(default_factory=list)

    def send(self, notification: Notification) -> None:
        if self.down:
            raise NotSent("out of order")
        self.taken.append(notification)

    @property
    def titles(self) -> list[str]:
        return [notification.title for notification in self.taken]
