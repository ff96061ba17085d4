"""The sensor and the summary, evaluated by Dagster."""

import dagster as dg
import pytest

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.bridge.alerting.notify import JOURNAL, AlertService
from mmbot_pipelines.bridge.alerting.rules import AlertThresholds
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.defs.bridge.alerts import alerts, daily_summary, definitions
from tests.bridge.harness import BridgeHarness
from tests.ports.channel_memory import ChannelMemory


class AlertHarness:
    """A bridge whose operator listens on one channel."""

    def __init__(self) -> None:
        self.harness = BridgeHarness()
        self.channel = ChannelMemory()
        self.log = PgAlertLog(self.harness.engine)
        self.alert_service = AlertService(
            bridge=self.harness.bridge,
            records=PgOrderStats(self.harness.engine),
            reports=PgReports(self.harness.engine),
            daemons=PgDaemons(self.harness.engine),
            log=self.log,
            channels=[self.channel],
            thresholds=AlertThresholds(
                max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=60
            ),
        )

    def tick(self) -> str:
        self.harness.later(15)
        with dg.instance_for_test() as instance:
            context = dg.build_sensor_context(
                instance=instance, resources={"alert_service": self.alert_service}
            )
            logged = alerts.evaluate_tick(context).skip_message
        assert logged is not None
        return logged

    def empty_wallet(self) -> None:
        object.__setattr__(self.alert_service.thresholds, "min_balance", Wei(10**30))


@pytest.fixture
def alert_harness() -> AlertHarness:
    return AlertHarness()


def test_a_tick_notifies_every_channel_and_the_ui(alert_harness: AlertHarness) -> None:
    assert alert_harness.tick() == "nothing is wrong"
    alert_harness.empty_wallet()
    for _ in range(2):
        assert alert_harness.tick() == "[CRITICAL] the wallet is below its floor"
    assert alert_harness.channel.titles == ["[CRITICAL] the wallet is below its floor"]
    assert [a.key for a in alert_harness.log.open(JOURNAL)] == ["wallet-floor"]


def test_a_channel_out_of_order_is_reported_and_stops_nothing(alert_harness: AlertHarness) -> None:
    alert_harness.channel.down = True
    alert_harness.empty_wallet()
    logged = alert_harness.tick()
    assert logged.splitlines() == [
        "[CRITICAL] the wallet is below its floor",
        "memory: 1 not sent, out of order; tried again",
    ]
    alert_harness.channel.down = False
    alert_harness.tick()
    assert len(alert_harness.channel.taken) == 1


def test_the_summary_comes_as_a_job(alert_harness: AlertHarness) -> None:
    alert_harness.harness.set_and_detect(2)
    assert daily_summary.execute_in_process(
        resources={"alert_service": alert_harness.alert_service}
    ).success
    (notification,) = alert_harness.channel.taken
    assert notification.title == "[LOW] the last 24 hours, until 2026-11-20 12:00 UTC"
    assert "Orders found 2, transferred 0, completed 0, dropped 0; 0 errors." in notification.text
    assert notification.text.splitlines()[-1].startswith("To do: ")


def test_both_run_by_themselves() -> None:
    assert alerts.default_status is dg.DefaultSensorStatus.RUNNING
    assert alerts.minimum_interval_seconds == 15
    (schedule,) = definitions.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
