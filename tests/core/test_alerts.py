"""Alerts reach every channel: once, with their end, through failures and crashes."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.alerts import Alert, Notice, Picture, Severity, post, update
from tests.bridge.orders import NOON
from tests.ports.alerts_memory import AlertLogMemory, ChannelMemory

FLOOR = Alert(key="floor", severity=Severity.CRITICAL, title="low wallet", text="To do: send ETH")


def parked(number: int) -> Alert:
    title = f"zksync:{number} is parked"
    return Alert(key=f"parked {number}", severity=Severity.HIGH, title=title, text="a\nTo do: b")


class Tower:
    """A log, channels, and a clock of ticks 15 seconds apart."""

    def __init__(self, *channels: ChannelMemory) -> None:
        self.log = AlertLogMemory()
        self.channels = channels
        self.now: datetime = NOON

    def tick(self, *alerts: Alert) -> list[str]:
        self.now += timedelta(seconds=15)
        picture = Picture(alerts=alerts, unknown=frozenset())
        return update(self.log, self.channels, picture, at=self.now)


def test_an_alert_and_its_end() -> None:
    channel = ChannelMemory()
    tower = Tower(channel)
    for _ in range(3):
        assert tower.tick(FLOOR) == []
    for _ in range(6):
        assert tower.tick() == []
    assert channel.titles == ["[CRITICAL] low wallet", "[CRITICAL] over: low wallet"]
    first, last = channel.taken
    assert first == Notice(
        severity=Severity.CRITICAL,
        title="[CRITICAL] low wallet",
        text="To do: send ETH",
        good=False,
    )
    assert last.good
    assert "It lasted from 2026-11-20 12:00:15 to 12:01:00 UTC." in last.text


def test_a_failing_channel_is_tried_again_and_blocks_no_other() -> None:
    broken, well = ChannelMemory("broken", down=True), ChannelMemory("well")
    tower = Tower(broken, well)
    for _ in range(3):
        (trouble,) = tower.tick(FLOOR)
        assert trouble == "broken: 1 not told, out of order; tried again"
    assert len(well.taken) == 1

    broken.down = False
    assert tower.tick(FLOOR) == []
    assert broken.titles == well.titles == ["[CRITICAL] low wallet"]


def test_what_came_and_went_during_an_outage_is_told_in_one() -> None:
    channel = ChannelMemory(down=True)
    tower = Tower(channel)
    for alerts in ([FLOOR], [], [FLOOR], []):
        tower.tick(*alerts)
    channel.down = False
    tower.tick()
    tower.tick()
    assert channel.titles == ["[CRITICAL] came and went: low wallet"]


def test_many_alerts_come_as_lists_worst_first() -> None:
    channel = ChannelMemory()
    Tower(channel).tick(*map(parked, range(30)), FLOOR)
    assert [n.title for n in channel.taken] == ["[HIGH] 20 messages", "[CRITICAL] 11 messages"]
    lines = channel.taken[1].text.splitlines()
    assert lines[0] == "[CRITICAL] low wallet: To do: send ETH"
    assert lines[1] == "[HIGH] zksync:20 is parked: a To do: b"
    assert len(lines) == 11


@pytest.mark.parametrize("more", [0, 1])
def test_a_list_is_good_news_only_when_all_of_it_is(more: int) -> None:
    channel = ChannelMemory()
    tower = Tower(channel)
    tower.tick(*map(parked, range(6)))
    tower.tick()
    tower.tick()
    tower.tick(*map(parked, range(10, 10 + more)))  # in the tick that tells the end of the six
    told = [(n.title, n.good) for n in channel.taken]
    assert told == [("[HIGH] 6 messages", False), (f"[HIGH] {6 + more} messages", not more)]


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize("where", ["observe", "take", "send", "told"])
def test_a_crash_anywhere_loses_no_alert(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = ChannelMemory()
    tower = Tower(channel)
    holder = channel if where == "send" else tower.log
    real = getattr(holder, where)

    def dies(*args: object, **kwargs: object) -> None:
        if where != "told":  # told: sent, and dead before that is written down
            real(*args, **kwargs)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(holder, where, dies)
        with pytest.raises(Died):
            tower.tick(FLOOR)
    for _ in range(9):
        tower.tick(FLOOR)
    # What was sent and not written down is sent again; nothing else is.
    assert len(channel.taken) == (2 if where in ("send", "told") else 1)


def test_a_post_waits_for_its_channel() -> None:
    channel = ChannelMemory(down=True)
    tower = Tower(channel)
    daily = Alert(key="summary", severity=Severity.LOW, title="day", text="fine")
    assert post(tower.log, [channel], daily, at=NOON) != []
    tower.tick()
    channel.down = False
    for _ in range(3):
        tower.tick()
    assert channel.titles == ["[LOW] day"]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_the_channel_knows_the_truth_in_the_end(ticks: list[tuple[bool, bool]]) -> None:
    """Whatever comes, goes and fails: news alternate, and the last one is true."""
    channel = ChannelMemory()
    tower = Tower(channel)
    for holds, down in ticks:
        channel.down = down
        tower.tick(*[FLOOR] * holds)
    channel.down = False
    holds = bool(ticks) and ticks[-1][0]
    for _ in range(4):
        tower.tick(*[FLOOR] * holds)

    news = ["over" in t if "came" not in t else None for t in channel.titles]
    begun_and_ended = [n for n in news if n is not None]
    assert begun_and_ended == [i % 2 == 1 for i in range(len(begun_and_ended))]
    assert (len(begun_and_ended) % 2 == 1) == holds
    assert bool(news) == any(held for held, _ in ticks)
