"""The sensor that finds a second daemon by Dagster's heartbeats."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from mmbot_pipelines.bridge.watch import tell
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.defs.daemons import daemons, definitions
from tests.defs.test_alerts import Post


@pytest.fixture
def post() -> Post:
    post = Post()
    post.world.now = datetime.now(UTC)
    return post


def tick(post: Post, instance: dg.DagsterInstance, *beats: tuple[str, float]) -> str:
    """Let daemons' hearts beat some seconds ago, look after each beat; return what is said."""
    said = None
    for name, ago in beats:
        at = datetime.now(UTC) - timedelta(seconds=ago)
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SENSOR", name, errors=[]))
        context = dg.build_sensor_context(instance=instance, resources={"watch": post.watch})
        said = daemons.evaluate_tick(context).skip_message
    assert said is not None
    return said


def test_one_daemon_is_as_it_should_be(post: Post) -> None:
    with dg.instance_for_test() as instance:
        assert tick(post, instance, ("a", 60), ("a", 30), ("a", 0)) == "one daemon at work"
    assert tell(post.watch).alerts == []


def test_the_second_daemon_is_told_of(post: Post) -> None:
    with dg.instance_for_test() as instance:
        assert tick(post, instance, ("a", 60), ("b", 45)) == "one daemon at work"
        said = tick(post, instance, ("a", 30), ("b", 15))
    assert said.startswith("[CRITICAL] two bots on one database: 2 daemons are at work at once: a")
    (alert,) = tell(post.watch).alerts
    assert (alert.key, alert.severity) == ("daemons", Severity.CRITICAL)
    assert "stop all dagster-daemon processes but one" in alert.text


def test_it_looks_by_itself() -> None:
    assert definitions.sensors == [daemons]
    assert daemons.default_status is dg.DefaultSensorStatus.RUNNING
