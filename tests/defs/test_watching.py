"""When a sensor looks while it waits in its tick, with time that passes at once."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.notifications import NoNotifications, Notifications
from mmbot_pipelines.defs.shared import watching
from mmbot_pipelines.defs.shared.watching import Watcher

SECONDS = 8.0


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@dataclass
class Announced:
    """A node that announces at given seconds of the tick, and then falls silent."""

    clock: Clock
    at: list[float]
    dies_at: float = float("inf")
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock.now

    @property
    def is_live(self) -> bool:
        return self.clock.now - self.begun < self.dies_at

    @property
    def count(self) -> int:
        return len([at for at in self.at if self.begun + at <= self.clock.now])

    @property
    def announced_at(self) -> float:
        return self.begun + self.at[self.count - 1] if self.count else 0.0

    def wait(self, count: int, seconds: float) -> None:
        end = self.clock.now + max(0.0, seconds)
        coming = [self.begun + at for at in self.at[count:]]
        self.clock.now = max(self.clock.now, min([end, *coming]))


@dataclass
class Sensor:
    """Remembers when it looked, in seconds of the tick, and whether at the chain."""

    clock: Clock
    find_at: float = float("inf")
    fails: Callable[[float], bool] = lambda _: False
    looks: list[tuple[float, bool]] = field(default_factory=list)
    watcher: Watcher = field(default_factory=Watcher)

    def __call__(self, may_be_new: bool) -> str | None:
        at = round(self.clock.now - self.begun, 3)
        self.looks.append((at, may_be_new))
        if self.fails(at):
            raise RpcUnavailable("no node")
        return "order" if at >= self.find_at and may_be_new else None

    def watch(self, notifications: Notifications) -> str | None:
        self.begun = self.clock.now
        return self.watcher.watch(notifications, self, seconds=SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watching, "time", made)
    monkeypatch.setattr(watching, "is_followed", lambda: True)
    monkeypatch.setattr("mmbot_pipelines.core.notifications.time", made)
    return made


def at_the_chain(sensor: Sensor) -> list[float]:
    return [at for at, may_be_new in sensor.looks if may_be_new]


def test_without_announcements_the_chain_is_polled(clock: Clock) -> None:
    sensor = Sensor(clock)
    assert sensor.watch(NoNotifications()) is None
    looks = [at for at, _ in sensor.looks]
    assert looks == pytest.approx([n * 0.2 for n in range(40)], abs=0.01)
    assert at_the_chain(sensor) == looks
    assert clock.now - sensor.begun <= SECONDS


def test_while_nothing_is_announced_only_the_database_is_read(clock: Clock) -> None:
    sensor = Sensor(clock)
    assert sensor.watch(Announced(clock, [])) is None
    assert sensor.looks == [(0.0, True), *((float(n), False) for n in range(1, 8))]


def test_what_is_announced_is_looked_for_at_once_and_again_for_nodes_behind(clock: Clock) -> None:
    sensor = Sensor(clock)
    sensor.watch(Announced(clock, [3.3]))
    assert at_the_chain(sensor) == pytest.approx([0.0, 3.3, 3.8, 4.5, 5.9])


def test_what_was_announced_between_two_ticks_is_looked_for(clock: Clock) -> None:
    announced = Announced(clock, [1.0])
    clock.sleep(1.1)  # a node that is behind does not show it to the first look
    sensor = Sensor(clock, find_at=0.4)
    assert sensor.watch(announced) == "order"
    assert at_the_chain(sensor) == pytest.approx([0.0, 0.5])


def test_the_next_tick_reads_the_chain_only_where_there_is_reason_to(clock: Clock) -> None:
    sensor = Sensor(clock)
    announced = Announced(clock, [8.1])
    for _ in range(2):
        sensor.looks.clear()
        sensor.watch(announced)
        clock.sleep(0.2)
    # the second tick began at 8.2: its first look is for what came between them
    assert at_the_chain(sensor)[0] == 0.0
    sensor.looks.clear()
    sensor.watch(announced)
    assert sensor.looks[0] == (0.0, False)


def test_what_a_node_withholds_is_found_all_the_same(clock: Clock) -> None:
    sensor = Sensor(clock)
    announced = Announced(clock, [])
    sensor.watch(announced)
    clock.sleep(0.3)
    sensor.looks.clear()
    sensor.watch(announced)
    assert at_the_chain(sensor) == pytest.approx([7.0], abs=0.31)  # 15 s after the first


def test_after_a_failed_tick_the_chain_is_read(clock: Clock) -> None:
    sensor = Sensor(clock, fails=lambda _: True)
    announced = Announced(clock, [])
    for _ in range(2):
        with pytest.raises(RpcUnavailable):
            sensor.watch(announced)
    assert all(may_be_new for _, may_be_new in sensor.looks)


def test_two_sensors_take_turns() -> None:
    watcher = Watcher()
    took: list[str] = []

    def second() -> None:
        with watcher.turn() as mine:
            took.append("second" if mine else "nobody")

    thread = threading.Thread(target=second)
    with watcher.turn() as mine:
        assert mine
        thread.start()
        took.append("first")
    thread.join()
    assert took == ["first", "second"]


def test_who_waits_too_long_for_its_turn_ends_its_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PATIENCE_SECONDS", 0.01)
    watcher = Watcher()
    with watcher.turn(), watcher.turn() as mine:
        assert not mine
    with watcher.turn() as mine:
        assert mine


def test_a_flood_makes_no_sensor_spin(clock: Clock) -> None:
    sensor = Sensor(clock)
    sensor.watch(Announced(clock, [n / 1000 for n in range(8000)]))
    looks = at_the_chain(sensor)
    assert len(looks) == pytest.approx(40, abs=1)
    assert all(later - at > 0.19 for at, later in itertools.pairwise(looks))


def test_a_dead_connection_is_polled_past(clock: Clock) -> None:
    sensor = Sensor(clock, find_at=5.1)
    assert sensor.watch(Announced(clock, [], dies_at=2.5)) == "order"
    assert at_the_chain(sensor)[1] == 3.0  # within a second
    assert sensor.looks[-1][0] == pytest.approx(5.2, abs=0.11)


def test_a_failed_look_is_repeated_within_the_tick(clock: Clock) -> None:
    sensor = Sensor(clock, find_at=3.0, fails=lambda at: at < 3.0)
    assert sensor.watch(Announced(clock, [])) == "order"
    assert sensor.looks == [(0.0, True), (1.0, True), (2.0, True), (3.0, True)]


def test_the_last_looks_failure_fails_the_tick(clock: Clock) -> None:
    sensor = Sensor(clock, fails=lambda at: at >= 5.0)
    with pytest.raises(RpcUnavailable):
        sensor.watch(NoNotifications())
    assert sensor.looks[-1][0] == pytest.approx(7.0, abs=0.01)


def test_a_tick_ends_when_the_daemon_does_not_wait_for_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(clock, find_at=5.0)
    monkeypatch.setattr(watching, "is_tick_wanted", lambda: clock.now < sensor.begun + 3.5)
    assert sensor.watch(NoNotifications()) is None
    assert sensor.looks[-1][0] == pytest.approx(3.4, abs=0.01)
    with sensor.watcher.turn() as mine:
        assert not mine


def test_a_tick_that_cannot_know_of_its_daemon_is_short(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "is_followed", lambda: False)
    sensor = Sensor(clock)
    assert sensor.watch(NoNotifications()) is None
    assert clock.now - sensor.begun <= 2.0
