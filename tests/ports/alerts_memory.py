"""The twins in memory of the ports `AlertLog` and `Channel`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mmbot_pipelines.core.alerts import Alert, Message, News, Notice, NotSent, Picture


@dataclass
class Row:
    id: int
    channel: str
    alert: Alert
    lasting: bool
    since: datetime
    told_at: datetime | None = None
    gone_at: datetime | None = None
    over_at: datetime | None = None
    taken_at: datetime | None = None
    tries: int = 0


class AlertLogMemory:
    """The port `AlertLog`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._turn = threading.RLock()

    def observe(self, channel: str, picture: Picture, *, at: datetime) -> None:
        kept = {alert.key for alert in picture.alerts} | picture.unknown
        with self._turn:
            for alert in picture.alerts:
                self._open(channel, alert, lasting=True, at=at)
            for row in self._waiting(channel):
                if row.lasting and row.gone_at is None and row.alert.key not in kept:
                    row.gone_at = at

    def post(self, channel: str, alert: Alert, *, at: datetime) -> None:
        with self._turn:
            self._open(channel, alert, lasting=False, at=at)

    def take(
        self, channel: str, *, at: datetime, again_after: float, gone_for: float, most: int
    ) -> list[Message]:
        long_ago = at - timedelta(seconds=again_after)
        calm_since = at - timedelta(seconds=gone_for)
        with self._turn:
            free = [
                row
                for row in self._waiting(channel)
                if (
                    row.told_at is None
                    or (row.lasting and row.gone_at and row.gone_at <= calm_since)
                )
                and (row.taken_at is None or row.taken_at <= long_ago)
            ]
            taken = sorted(free, key=lambda row: (row.tries, row.id))[:most]
            for row in taken:
                row.taken_at = at
            return [_message(row) for row in taken]

    def told(self, messages: Sequence[Message], *, at: datetime) -> None:
        with self._turn:
            for message in messages:
                row = self.rows[message.id]
                row.taken_at, row.tries = None, 0
                if message.news is News.NEW:
                    row.told_at = at
                    row.over_at = None if row.lasting else at
                else:
                    row.told_at = row.over_at = at if row.gone_at else None

    def give_back(self, messages: Sequence[Message]) -> None:
        with self._turn:
            for message in messages:
                row = self.rows[message.id]
                row.taken_at, row.tries = None, row.tries + 1

    def open(self, channel: str) -> list[Alert]:
        with self._turn:
            return [
                row.alert for row in self._waiting(channel) if row.lasting and row.gone_at is None
            ]

    def _open(self, channel: str, alert: Alert, *, lasting: bool, at: datetime) -> None:
        for row in self._waiting(channel):
            if row.alert.key == alert.key:
                row.alert, row.gone_at = alert, None
                return
        self.rows.append(Row(len(self.rows), channel, alert, lasting, at))

    def _waiting(self, channel: str) -> list[Row]:
        return [row for row in self.rows if row.channel == channel and row.over_at is None]


def _message(row: Row) -> Message:
    news = News.of(told=row.told_at is not None, gone=row.gone_at is not None)
    return Message(id=row.id, alert=row.alert, news=news, since=row.since, until=row.gone_at)


@dataclass
class ChannelMemory:
    """The port `Channel`: while `down`, it takes nothing."""

    name: str = "memory"
    down: bool = False
    taken: list[Notice] = field(default_factory=list)

    def send(self, notice: Notice) -> None:
        if self.down:
            raise NotSent("out of order")
        self.taken.append(notice)

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.taken]
