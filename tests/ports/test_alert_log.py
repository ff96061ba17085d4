"""How the log of alerts is kept."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.core.alerts import (
    Alert,
    AlertLog,
    AlertPhase,
    AlertSnapshot,
    Message,
    Severity,
)
from tests.bridge.orders import NOON
from tests.postgres import clean_engine

FLOOR = Alert(key="floor", severity=Severity.CRITICAL, title="low", text="1 wei\nTo do: send")
PARKED = Alert(key="parked zksync:7", severity=Severity.HIGH, title="parked", text="\x00 why")


@pytest.fixture
def log() -> AlertLog:
    return PgAlertLog(clean_engine())


def see(
    log: AlertLog, *alerts: Alert, seconds: float = 0, unknown: str = "", by: str = "a"
) -> None:
    snapshot = AlertSnapshot(alerts=alerts, unknown=frozenset({unknown}))
    log.observe(by, snapshot, at=NOON + timedelta(seconds=seconds))


def take(
    log: AlertLog, seconds: float = 0, max_messages: int = 100, by: str = "a"
) -> list[Message]:
    at = NOON + timedelta(seconds=seconds)
    return log.take(
        by, at=at, retake_after_seconds=60, resolved_for_seconds=30, max_messages=max_messages
    )


def send(log: AlertLog, seconds: float = 0) -> list[tuple[str, AlertPhase]]:
    messages = take(log, seconds)
    log.mark_sent(messages, at=NOON + timedelta(seconds=seconds))
    return [(m.alert.key, m.phase) for m in messages]


def test_a_new_alert_is_sent_once_while_it_is_open(log: AlertLog) -> None:
    see(log, FLOOR)
    (message,) = take(log)
    assert (message.alert, message.phase) == (FLOOR, AlertPhase.FIRING)
    assert (message.since, message.until) == (NOON, None)
    log.mark_sent([message], at=NOON)

    see(log, replace(FLOOR, text="less"), seconds=15)
    assert take(log, 1000) == []
    assert log.open("a") == [replace(FLOOR, text="less")]


def test_an_end_is_sent_once_when_it_lasts(log: AlertLog) -> None:
    see(log, FLOOR)
    send(log)
    see(log, seconds=15)
    assert log.open("a") == []
    assert send(log, 44) == []
    (message,) = take(log, 45)
    assert (message.phase, message.until) == (AlertPhase.RESOLVED, NOON + timedelta(seconds=15))
    log.mark_sent([message], at=NOON)
    see(log, seconds=60)
    assert take(log, 1000) == []


def test_what_is_back_at_once_was_never_over(log: AlertLog) -> None:
    see(log, FLOOR)
    send(log)
    see(log, seconds=15)
    see(log, FLOOR, seconds=30)
    see(log, seconds=45)
    assert send(log, 74) == []
    assert send(log, 75) == [("floor", AlertPhase.RESOLVED)]


def test_what_comes_again_after_its_end_is_new(log: AlertLog) -> None:
    for seconds in (0, 100):
        see(log, FLOOR, seconds=seconds)
        assert send(log, seconds) == [("floor", AlertPhase.FIRING)]
        see(log, seconds=seconds + 15)
        assert send(log, seconds + 50) == [("floor", AlertPhase.RESOLVED)]


def test_what_cannot_be_looked_at_stays_as_it_is(log: AlertLog) -> None:
    see(log, FLOOR)
    send(log)
    see(log, seconds=15, unknown="floor")
    assert log.open("a") == [FLOOR]
    assert send(log, 1000) == []


def test_an_alert_that_resolved_before_it_was_sent_is_sent_once(log: AlertLog) -> None:
    see(log, FLOOR)
    log.release(take(log))
    see(log, seconds=15)
    assert send(log, 15) == [("floor", AlertPhase.TRANSIENT)]
    assert send(log, 1000) == []


def test_what_was_taken_is_not_taken_again_until_its_taker_must_have_died(log: AlertLog) -> None:
    see(log, FLOOR)
    assert len(take(log)) == 1
    assert take(log, 59) == []
    assert len(take(log, 60)) == 1


def test_what_failed_is_there_at_once_behind_what_was_not_tried(log: AlertLog) -> None:
    see(log, FLOOR)
    log.release(take(log))
    see(log, FLOOR, PARKED, seconds=1)
    (first,) = take(log, 1, max_messages=1)
    assert first.alert.key == PARKED.key
    (second,) = take(log, 1)
    assert second.alert.key == FLOOR.key


def test_an_alert_that_changes_while_it_is_sent_is_sent_again(log: AlertLog) -> None:
    see(log, FLOOR)
    send(log)
    see(log, seconds=15)
    over = take(log, 60)
    see(log, FLOOR, seconds=61)
    log.mark_sent(over, at=NOON + timedelta(seconds=62))
    assert send(log, 62) == [("floor", AlertPhase.FIRING)]

    new = take(log, 62)
    assert new == []
    see(log, seconds=70)
    assert send(log, 100) == [("floor", AlertPhase.RESOLVED)]


def test_channels_know_nothing_of_each_other(log: AlertLog) -> None:
    see(log, FLOOR)
    send(log)
    see(log, FLOOR, by="b", seconds=100)
    (message,) = take(log, 100, by="b")
    assert message.phase is AlertPhase.FIRING
    assert take(log, 100) == []


def test_a_post_has_no_end(log: AlertLog) -> None:
    daily = Alert(key="summary", severity=Severity.LOW, title="day", text="fine")
    for _ in range(2):
        log.post("a", daily, at=NOON)
    see(log)
    assert log.open("a") == []
    assert send(log) == [("summary", AlertPhase.FIRING)]
    see(log, seconds=15)
    assert send(log, 1000) == []
    log.post("a", daily, at=NOON + timedelta(days=1))
    assert send(log, 2000) == [("summary", AlertPhase.FIRING)]


def test_two_senders_at_once_send_nothing_twice(log: AlertLog) -> None:
    alerts = [replace(PARKED, key=f"parked zksync:{n}") for n in range(40)]

    def work(order: int) -> list[int]:
        see(log, *alerts[::order])
        return [m.id for _ in range(8) for m in take(log, max_messages=5)]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for each in pool.map(work, [1, -1, 1, -1]) for one in each]
    assert len(taken) == len(set(taken)) == 40
