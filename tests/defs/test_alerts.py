"""The sensor and the summary, evaluated by Dagster on a bridge in memory."""

import dagster as dg
import pytest

from mmbot_pipelines.bridge.conditions import Thresholds
from mmbot_pipelines.bridge.watch import JOURNAL, Watch
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.defs.alerts import alerts, daily_summary, definitions
from tests.bridge.world import World
from tests.ports.alerts_memory import AlertLogMemory, ChannelMemory
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory


class Post:
    """A bridge whose operator listens on one channel."""

    def __init__(self) -> None:
        self.world = World()
        self.channel = ChannelMemory()
        self.log = AlertLogMemory()
        self.watch = Watch(
            bridge=self.world.bridge,
            records=RecordsMemory(self.world.store),
            daemons=DaemonsMemory(),
            log=self.log,
            channels=[self.channel],
            thresholds=Thresholds(
                max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=60
            ),
        )

    def tick(self) -> str:
        self.world.later(15)
        with dg.instance_for_test() as instance:
            context = dg.build_sensor_context(instance=instance, resources={"watch": self.watch})
            said = alerts.evaluate_tick(context).skip_message
        assert said is not None
        return said

    def empty_wallet(self) -> None:
        object.__setattr__(self.watch.thresholds, "min_balance", Wei(10**30))


@pytest.fixture
def post() -> Post:
    return Post()


def test_a_tick_tells_every_channel_and_the_ui(post: Post) -> None:
    assert post.tick() == "nothing is wrong"
    post.empty_wallet()
    for _ in range(2):
        assert post.tick() == "[CRITICAL] the wallet is below its floor"
    assert post.channel.titles == ["[CRITICAL] the wallet is below its floor"]
    assert [a.key for a in post.log.open(JOURNAL)] == ["wallet-floor"]


def test_a_channel_out_of_order_is_said_and_stops_nothing(post: Post) -> None:
    post.channel.down = True
    post.empty_wallet()
    said = post.tick()
    assert said.splitlines() == [
        "[CRITICAL] the wallet is below its floor",
        "memory: 1 not told, out of order; tried again",
    ]
    post.channel.down = False
    post.tick()
    assert len(post.channel.taken) == 1


def test_the_summary_comes_as_a_job(post: Post) -> None:
    post.world.set_and_detect(2)
    assert daily_summary.execute_in_process(resources={"watch": post.watch}).success
    (notice,) = post.channel.taken
    assert notice.title == "[LOW] the last 24 hours, until 2026-11-20 12:00 UTC"
    assert "Orders found 2, transferred 0, completed 0, dropped 0; 0 errors." in notice.text
    assert notice.text.splitlines()[-1].startswith("To do: ")


def test_both_run_by_themselves() -> None:
    assert alerts.default_status is dg.DefaultSensorStatus.RUNNING
    assert alerts.minimum_interval_seconds == 15
    (schedule,) = definitions.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
