"""Alerts reach every channel: once, with their end, through failures and crashes."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Notification, Severity, post, update
from tests.bridge.orders import NOON
from tests.ports.channel_memory import ChannelMemory
from tests.postgres import clean_engine

FLOOR = Alert(key="floor", severity=Severity.CRITICAL, title="low wallet", text="To do: send ETH")


def parked(number: int) -> Alert:
    title = f"zksync:{number} is parked"
    return Alert(key=f"parked {number}", severity=Severity.HIGH, title=title, text="a\nTo do: b")


class AlertHarness:
    """A log, channels, and a clock of ticks 15 seconds apart."""

    def __init__(self, *channels: ChannelMemory) -> None:
        self.log = PgAlertLog(clean_engine())
        self.channels = channels
        self.now: datetime = NOON

    def tick(self, *alerts: Alert) -> list[str]:
        self.now += timedelta(seconds=15)
        snapshot = AlertSnapshot(alerts=alerts, unknown=frozenset())
        return update(self.log, self.channels, snapshot, at=self.now)


def test_an_alert_and_its_end() -> None:
    channel = ChannelMemory()
    alert_harness = AlertHarness(channel)
    for _ in range(3):
        assert alert_harness.tick(FLOOR) == []
    for _ in range(6):
        assert alert_harness.tick() == []
    assert channel.titles == ["[CRITICAL] low wallet", "[CRITICAL] resolved: low wallet"]
    first, last = channel.taken
    assert first == Notification(
        severity=Severity.CRITICAL,
        title="[CRITICAL] low wallet",
        text="To do: send ETH",
        is_resolved=False,
    )
    assert last.is_resolved
    assert "It lasted from 2026-11-20 12:00:15 to 12:01:00 UTC." in last.text


def test_a_failing_channel_is_tried_again_and_blocks_no_other() -> None:
    broken, well = ChannelMemory("broken", down=True), ChannelMemory("well")
    alert_harness = AlertHarness(broken, well)
    for _ in range(3):
        (trouble,) = alert_harness.tick(FLOOR)
        assert trouble == "broken: 1 not sent, out of order; tried again"
    assert len(well.taken) == 1

    broken.down = False
    assert alert_harness.tick(FLOOR) == []
    assert broken.titles == well.titles == ["[CRITICAL] low wallet"]


def test_an_alert_that_fired_and_resolved_during_an_outage_is_sent_once() -> None:
    channel = ChannelMemory(down=True)
    alert_harness = AlertHarness(channel)
    for alerts in ([FLOOR], [], [FLOOR], []):
        alert_harness.tick(*alerts)
    channel.down = False
    alert_harness.tick()
    alert_harness.tick()
    assert channel.titles == ["[CRITICAL] transient: low wallet"]


def test_up_to_five_alerts_come_one_by_one() -> None:
    channel = ChannelMemory()
    AlertHarness(channel).tick(*map(parked, range(5)))
    assert channel.titles == [f"[HIGH] zksync:{number} is parked" for number in range(5)]


def test_a_channel_that_fails_twice_is_left_alone_until_the_next_tick() -> None:
    channel = ChannelMemory(down=True)
    alert_harness = AlertHarness(channel)
    for tries in (2, 4):
        (problem,) = alert_harness.tick(*map(parked, range(5)))
        assert channel.tried == tries
        assert problem == "memory: 5 not sent, out of order; tried again"


def test_many_alerts_come_as_lists_worst_first() -> None:
    channel = ChannelMemory()
    AlertHarness(channel).tick(*map(parked, range(30)), FLOOR)
    assert [n.title for n in channel.taken] == ["[CRITICAL] 20 messages", "[HIGH] 11 messages"]
    lines = channel.taken[0].text.splitlines()
    assert lines[0] == "[CRITICAL] low wallet: To do: send ETH"
    assert lines[1] == "[HIGH] zksync:0 is parked: a To do: b"
    assert len(lines) == 20


@pytest.mark.parametrize("more", [0, 1])
def test_a_list_is_good_news_only_when_all_of_it_is(more: int) -> None:
    channel = ChannelMemory()
    alert_harness = AlertHarness(channel)
    alert_harness.tick(*map(parked, range(6)))
    alert_harness.tick()
    alert_harness.tick()
    alert_harness.tick(*map(parked, range(10, 10 + more)))  # in the tick that resolves the six
    reported = [(n.title, n.is_resolved) for n in channel.taken]
    assert reported == [("[HIGH] 6 messages", False), (f"[HIGH] {6 + more} messages", not more)]


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize("where", ["observe", "take", "send", "mark_sent"])
def test_a_kill_at_any_failpoint_loses_no_alert(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = ChannelMemory()
    alert_harness = AlertHarness(channel)
    holder = channel if where == "send" else alert_harness.log
    real = getattr(holder, where)

    def dies(*args: object, **kwargs: object) -> None:
        if where != "mark_sent":  # sent, and dead before that is stored
            real(*args, **kwargs)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(holder, where, dies)
        with pytest.raises(Died):
            alert_harness.tick(FLOOR)
    for _ in range(9):
        alert_harness.tick(FLOOR)
    # What was sent and not written down is sent again; nothing else is.
    assert len(channel.taken) == (2 if where in ("send", "mark_sent") else 1)


def test_a_post_waits_for_its_channel() -> None:
    channel = ChannelMemory(down=True)
    alert_harness = AlertHarness(channel)
    daily = Alert(key="summary", severity=Severity.LOW, title="day", text="fine")
    assert post(alert_harness.log, [channel], daily, at=NOON) != []
    alert_harness.tick()
    channel.down = False
    for _ in range(3):
        alert_harness.tick()
    assert channel.titles == ["[LOW] day"]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
@settings(deadline=None, max_examples=50)
def test_the_channel_knows_the_truth_in_the_end(ticks: list[tuple[bool, bool]]) -> None:
    """Whatever comes, goes and fails: news alternate, and the last one is true."""
    channel = ChannelMemory()
    alert_harness = AlertHarness(channel)
    for holds, down in ticks:
        channel.down = down
        alert_harness.tick(*[FLOOR] * holds)
    channel.down = False
    holds = bool(ticks) and ticks[-1][0]
    for _ in range(4):
        alert_harness.tick(*[FLOOR] * holds)

    phase = ["resolved" in t if "transient" not in t else None for t in channel.titles]
    begun_and_ended = [n for n in phase if n is not None]
    assert begun_and_ended == [i % 2 == 1 for i in range(len(begun_and_ended))]
    assert (len(begun_and_ended) % 2 == 1) == holds
    assert bool(phase) == any(held for held, _ in ticks)
