"""The port `AlertLog` on Postgres: every method is one database transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import alerts
from mmbot_pipelines.core.alerts import Alert, AlertPhase, AlertSnapshot, Message, Severity

_SHOWN = (alerts.c.severity, alerts.c.title, alerts.c.text)


class PgAlertLog:
    """Which alerts are open, and which messages each channel is still to get.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def observe(self, channel: str, snapshot: AlertSnapshot, *, at: datetime) -> None:
        """Open what is new and close what is gone; what is back before its end stays open."""
        kept = {alert.key for alert in snapshot.alerts} | snapshot.unknown
        with transaction(self._engine) as connection:
            _open(connection, channel, snapshot.alerts, lasting=True, at=at)
            connection.execute(
                update(alerts)
                .where(
                    _waiting(channel),
                    alerts.c.lasting,
                    alerts.c.resolved_at.is_(None),
                    alerts.c.key.not_in(kept),
                )
                .values(resolved_at=at)
            )

    def post(self, channel: str, alert: Alert, *, at: datetime) -> None:
        """Open an alert that is sent once and is never resolved, unless it waits already."""
        with transaction(self._engine) as connection:
            _open(connection, channel, [alert], lasting=False, at=at)

    def take(
        self,
        channel: str,
        *,
        at: datetime,
        retake_after_seconds: float,
        resolved_for_seconds: float,
        max_messages: int,
    ) -> list[Message]:
        """Take what nobody took within `retake_after_seconds` seconds, the least tried first.

        Two who take at the same time never take the same message.
        """
        long_ago = at - timedelta(seconds=retake_after_seconds)
        ended = and_(
            alerts.c.lasting, alerts.c.resolved_at <= at - timedelta(seconds=resolved_for_seconds)
        )
        free = (
            select(alerts.c.id)
            .where(
                _waiting(channel),
                or_(alerts.c.sent_at.is_(None), ended),
                or_(alerts.c.taken_at.is_(None), alerts.c.taken_at <= long_ago),
            )
            .order_by(alerts.c.tries, alerts.c.id)
            .limit(max_messages)
            .with_for_update(skip_locked=True)
        )
        taken = update(alerts).where(alerts.c.id.in_(free)).values(taken_at=at).returning(alerts)
        with transaction(self._engine) as connection:
            rows = sorted(connection.execute(taken), key=lambda row: (row.tries, row.id))
            return [_message(row) for row in rows]

    def mark_sent(self, messages: Sequence[Message], *, at: datetime) -> None:
        """Mark messages as sent; an alert that changed since they were taken is sent again."""
        begun = [m.id for m in messages if m.phase is AlertPhase.FIRING]
        ended = [m.id for m in messages if m.phase is not AlertPhase.FIRING]
        gone, now = alerts.c.resolved_at.is_not(None), literal(at)
        with transaction(self._engine) as connection:
            connection.execute(
                update(alerts)
                .where(alerts.c.id.in_(begun))
                .values(
                    sent_at=at,
                    closed_at=case((alerts.c.lasting, null()), else_=now),
                    taken_at=None,
                    tries=0,
                )
            )
            connection.execute(
                update(alerts)
                .where(alerts.c.id.in_(ended))
                .values(
                    sent_at=case((gone, func.coalesce(alerts.c.sent_at, now)), else_=null()),
                    closed_at=case((gone, now), else_=null()),
                    taken_at=None,
                    tries=0,
                )
            )

    def release(self, messages: Sequence[Message]) -> None:
        """Leave messages to the next who takes."""
        with transaction(self._engine) as connection:
            connection.execute(
                update(alerts)
                .where(alerts.c.id.in_([m.id for m in messages]))
                .values(taken_at=None, tries=alerts.c.tries + 1)
            )

    def open(self, channel: str) -> list[Alert]:
        """List what holds as far as this channel's list knows, the longest open first."""
        holds = select(alerts).where(
            _waiting(channel), alerts.c.lasting, alerts.c.resolved_at.is_(None)
        )
        with transaction(self._engine) as connection:
            return [_alert(row) for row in connection.execute(holds.order_by(alerts.c.id))]


def _open(
    connection: Connection, channel: str, found: Sequence[Alert], *, lasting: bool, at: datetime
) -> None:
    if not found:
        return
    new = postgresql.insert(alerts).values(
        channel=channel,
        key=bindparam("key"),
        severity=bindparam("severity"),
        title=bindparam("title"),
        text=bindparam("text"),
        lasting=lasting,
        since=at,
        tries=0,
    )
    kept = new.on_conflict_do_update(
        index_elements=[alerts.c.channel, alerts.c.key],
        index_where=alerts.c.closed_at.is_(None),
        set_={column.name: new.excluded[column.name] for column in _SHOWN} | {"resolved_at": None},
        # a row that stays as it is costs nothing
        where=or_(alerts.c.resolved_at.is_not(None), *(c != new.excluded[c.name] for c in _SHOWN)),
    )
    # sorted, so that two who observe never wait for each other in a circle
    rows = [
        {"key": a.key, "severity": a.severity.value, "title": a.title, "text": a.text}
        for a in sorted(found, key=lambda a: a.key)
    ]
    connection.execute(kept, rows)


def _waiting(channel: str) -> ColumnElement[bool]:
    return and_(alerts.c.channel == channel, alerts.c.closed_at.is_(None))


def _alert(row: Row[Any]) -> Alert:
    return Alert(key=row.key, severity=Severity(row.severity), title=row.title, text=row.text)


def _message(row: Row[Any]) -> Message:
    phase = AlertPhase.of(sent=row.sent_at is not None, resolved=row.resolved_at is not None)
    return Message(
        id=row.id, alert=_alert(row), phase=phase, since=row.since, until=row.resolved_at
    )
