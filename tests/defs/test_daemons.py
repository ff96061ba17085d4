"""The sensor that finds a second daemon by Dagster's heartbeats."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from mmbot_pipelines.bridge.alerting.notify import send_alerts
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.defs.bridge.daemons import daemons, definitions
from tests.defs.test_alerts import AlertHarness


@pytest.fixture
def alert_harness() -> AlertHarness:
    alert_harness = AlertHarness()
    alert_harness.harness.now = datetime.now(UTC)
    return alert_harness


def tick(
    alert_harness: AlertHarness, instance: dg.DagsterInstance, *beats: tuple[str, float]
) -> str:
    """Record heartbeats some seconds ago, tick after each; return the last tick's message."""
    logged = None
    for name, ago in beats:
        at = datetime.now(UTC) - timedelta(seconds=ago)
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SENSOR", name, errors=[]))
        context = dg.build_sensor_context(
            instance=instance, resources={"alert_service": alert_harness.alert_service}
        )
        logged = daemons.evaluate_tick(context).skip_message
    assert logged is not None
    return logged


def test_one_daemon_is_as_it_should_be(alert_harness: AlertHarness) -> None:
    with dg.instance_for_test() as instance:
        assert (
            tick(alert_harness, instance, ("a", 60), ("a", 30), ("a", 0)) == "one daemon is alive"
        )
    assert send_alerts(alert_harness.alert_service).alerts == []


def test_the_second_daemon_is_reported(alert_harness: AlertHarness) -> None:
    with dg.instance_for_test() as instance:
        assert tick(alert_harness, instance, ("a", 60), ("b", 45)) == "one daemon is alive"
        logged = tick(alert_harness, instance, ("a", 30), ("b", 15))
    assert logged.startswith(
        "[CRITICAL] two bots on one database: 2 daemons are at work at once: a"
    )
    (alert,) = send_alerts(alert_harness.alert_service).alerts
    assert (alert.key, alert.severity) == ("daemons", Severity.CRITICAL)
    assert "stop all dagster-daemon processes but one" in alert.text


def test_it_polls_by_itself() -> None:
    assert definitions.sensors == [daemons]
    assert daemons.default_status is dg.DefaultSensorStatus.RUNNING
