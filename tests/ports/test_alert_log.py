"""What every log of alerts keeps: run on the one in memory and the one in Postgres."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.core.alerts import Alert, AlertLog, Message, News, Picture, Severity
from tests.bridge.orders import NOON
from tests.ports.alerts_memory import AlertLogMemory

FLOOR = Alert(key="floor", severity=Severity.CRITICAL, title="low", text="1 wei\nTo do: send")
PARKED = Alert(key="parked zksync:7", severity=Severity.HIGH, title="parked", text="\x00 why")


@pytest.fixture(params=["memory", "postgres"])
def log(request: pytest.FixtureRequest) -> Iterator[AlertLog]:
    if request.param == "memory":
        yield AlertLogMemory()
        return
    engine = connect(request.getfixturevalue("database_url"))
    yield PgAlertLog(engine)
    engine.dispose()


def see(
    log: AlertLog, *alerts: Alert, seconds: float = 0, unknown: str = "", by: str = "a"
) -> None:
    picture = Picture(alerts=alerts, unknown=frozenset({unknown}))
    log.observe(by, picture, at=NOON + timedelta(seconds=seconds))


def take(log: AlertLog, seconds: float = 0, most: int = 100, by: str = "a") -> list[Message]:
    at = NOON + timedelta(seconds=seconds)
    return log.take(by, at=at, again_after=60, gone_for=30, most=most)


def tell(log: AlertLog, seconds: float = 0) -> list[tuple[str, News]]:
    messages = take(log, seconds)
    log.told(messages, at=NOON + timedelta(seconds=seconds))
    return [(m.alert.key, m.news) for m in messages]


def test_a_new_alert_is_told_once_while_it_is_open(log: AlertLog) -> None:
    see(log, FLOOR)
    (message,) = take(log)
    assert (message.alert, message.news) == (FLOOR, News.NEW)
    assert (message.since, message.until) == (NOON, None)
    log.told([message], at=NOON)

    see(log, replace(FLOOR, text="less"), seconds=15)
    assert take(log, 1000) == []
    assert log.open("a") == [replace(FLOOR, text="less")]


def test_an_end_is_told_once_when_it_lasts(log: AlertLog) -> None:
    see(log, FLOOR)
    tell(log)
    see(log, seconds=15)
    assert log.open("a") == []
    assert tell(log, 44) == []
    (message,) = take(log, 45)
    assert (message.news, message.until) == (News.OVER, NOON + timedelta(seconds=15))
    log.told([message], at=NOON)
    see(log, seconds=60)
    assert take(log, 1000) == []


def test_what_is_back_at_once_was_never_over(log: AlertLog) -> None:
    see(log, FLOOR)
    tell(log)
    see(log, seconds=15)
    see(log, FLOOR, seconds=30)
    see(log, seconds=45)
    assert tell(log, 74) == []
    assert tell(log, 75) == [("floor", News.OVER)]


def test_what_comes_again_after_its_end_is_new(log: AlertLog) -> None:
    for seconds in (0, 100):
        see(log, FLOOR, seconds=seconds)
        assert tell(log, seconds) == [("floor", News.NEW)]
        see(log, seconds=seconds + 15)
        assert tell(log, seconds + 50) == [("floor", News.OVER)]


def test_what_cannot_be_looked_at_stays_as_it_is(log: AlertLog) -> None:
    see(log, FLOOR)
    tell(log)
    see(log, seconds=15, unknown="floor")
    assert log.open("a") == [FLOOR]
    assert tell(log, 1000) == []


def test_what_went_before_it_was_told_is_told_in_one(log: AlertLog) -> None:
    see(log, FLOOR)
    log.give_back(take(log))
    see(log, seconds=15)
    assert tell(log, 15) == [("floor", News.BRIEF)]
    assert tell(log, 1000) == []


def test_what_was_taken_is_not_taken_again_until_its_taker_must_have_died(log: AlertLog) -> None:
    see(log, FLOOR)
    assert len(take(log)) == 1
    assert take(log, 59) == []
    assert len(take(log, 60)) == 1


def test_what_failed_is_there_at_once_behind_what_was_not_tried(log: AlertLog) -> None:
    see(log, FLOOR)
    log.give_back(take(log))
    see(log, FLOOR, PARKED, seconds=1)
    (first,) = take(log, 1, most=1)
    assert first.alert.key == PARKED.key
    (second,) = take(log, 1)
    assert second.alert.key == FLOOR.key


def test_what_turns_round_while_it_is_told_is_told_anew(log: AlertLog) -> None:
    see(log, FLOOR)
    tell(log)
    see(log, seconds=15)
    over = take(log, 60)
    see(log, FLOOR, seconds=61)
    log.told(over, at=NOON + timedelta(seconds=62))
    assert tell(log, 62) == [("floor", News.NEW)]

    new = take(log, 62)
    assert new == []
    see(log, seconds=70)
    assert tell(log, 100) == [("floor", News.OVER)]


def test_channels_know_nothing_of_each_other(log: AlertLog) -> None:
    see(log, FLOOR)
    tell(log)
    see(log, FLOOR, by="b", seconds=100)
    (message,) = take(log, 100, by="b")
    assert message.news is News.NEW
    assert take(log, 100) == []


def test_a_post_has_no_end(log: AlertLog) -> None:
    daily = Alert(key="summary", severity=Severity.LOW, title="day", text="fine")
    for _ in range(2):
        log.post("a", daily, at=NOON)
    see(log)
    assert log.open("a") == []
    assert tell(log) == [("summary", News.NEW)]
    see(log, seconds=15)
    assert tell(log, 1000) == []
    log.post("a", daily, at=NOON + timedelta(days=1))
    assert tell(log, 2000) == [("summary", News.NEW)]


def test_two_who_work_at_once_tell_nothing_twice(log: AlertLog) -> None:
    alerts = [replace(PARKED, key=f"parked zksync:{n}") for n in range(40)]

    def work(order: int) -> list[int]:
        see(log, *alerts[::order])
        return [m.id for _ in range(8) for m in take(log, most=5)]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for each in pool.map(work, [1, -1, 1, -1]) for one in each]
    assert len(taken) == len(set(taken)) == 40
