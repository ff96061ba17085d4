"""A failed order's partition is there for as long as a run or a person may need it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.defs.bridge.failed_orders import FAILED_ORDERS, failed_order, failed_orders
from mmbot_pipelines.defs.bridge.failed_runs import failed_runs
from tests.bridge.harness import BridgeHarness
from tests.test_wiring import SERVING_BOTH

_DAY = 24 * 3600


def tick(harness: BridgeHarness, instance: dg.DagsterInstance) -> list[str]:
    """Let the sensor tick and the daemon do as it asks; return the partitions there are then."""
    context = dg.build_sensor_context(
        instance, sensor_name="failed_orders", resources={"bridge": harness.bridge}
    )
    name = str(FAILED_ORDERS.name)
    for request in failed_orders.evaluate_tick(context).dynamic_partitions_requests or []:
        assert request.partitions_def_name == name
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(name, request.partition_keys)
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(name, key)
    return list(instance.get_dynamic_partitions(name))


def park(harness: BridgeHarness) -> str:
    """Return an order that is parked, for what has been resolved since."""
    (key,) = harness.set_and_detect()
    recipient = harness.order(key).recipient
    harness.registry.rejecting.add(recipient)
    harness.failing(lambda: harness.transfer([key]))
    harness.registry.rejecting.remove(recipient)
    assert harness.order(key).is_parked
    return key


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def test_the_sensor_ticks_between_take_up_and_output(
    harness: BridgeHarness, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = park(harness)
    assert tick(harness, instance) == [key]
    take_up = steps.reprocess

    def with_a_tick(bridge: steps.Bridge, keys: list[str], run: Run) -> None:
        take_up(bridge, keys, run)
        harness.later(8 * _DAY)  # were it recovered long ago, its run still needs the partition
        tick(harness, instance)

    monkeypatch.setattr(steps, "reprocess", with_a_tick)
    result = dg.materialize(
        [failed_order],
        instance=instance,
        partition_key=key,
        resources={"bridge": harness.bridge},
        raise_on_error=False,
    )
    assert result.success
    assert harness.order(key).status is Status.TRANSFERRING
    (shown,) = result.asset_materializations_for_node("failed_order")
    assert shown.partition == key


def test_a_recovered_order_keeps_its_partition_for_seven_days(
    harness: BridgeHarness, instance: dg.DagsterInstance
) -> None:
    key = park(harness)
    tick(harness, instance)
    steps.reprocess(harness.bridge, [key], harness.run)
    harness.later(7 * _DAY - 60)
    assert tick(harness, instance) == [key]
    harness.later(120)
    run = create_run_for_test(
        instance, tags={PARTITION_NAME_TAG: key}, status=dg.DagsterRunStatus.STARTED
    )
    assert tick(harness, instance) == [key]
    instance.delete_run(run.run_id)
    assert tick(harness, instance) == []


def test_a_parked_order_keeps_its_partition_for_good(
    harness: BridgeHarness, instance: dg.DagsterInstance
) -> None:
    key = park(harness)
    harness.later(300 * _DAY)
    assert tick(harness, instance) == [key]


def test_every_job_runs_in_one_process() -> None:
    """The UI's Materialize too: a process a step took 17 s where this takes 1."""
    program = (
        "import json\n"
        "from mmbot_pipelines.definitions import defs\n"
        "jobs = defs().get_repository_def().get_all_jobs()\n"
        "print(json.dumps({job.name: job.executor_def.name for job in jobs}))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=os.environ | SERVING_BOTH, capture_output=True, text=True, check=True
    )
    executors = json.loads(done.stdout)
    assert "__ASSET_JOB" in executors
    assert set(executors.values()) == {"in_process"}


@pytest.mark.parametrize(
    "cursor", ["garbage", "[1]", '{"a": 1}', '["0001-01-01T00:00:00+00:00", []]', '["x", 7]', "7"]
)
def test_a_cursor_that_cannot_be_read_is_as_good_as_none(
    harness: BridgeHarness,
    instance: dg.DagsterInstance,
    cursor: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    context = dg.build_sensor_context(
        instance, cursor=cursor, sensor_name="failed_runs", resources={"bridge": harness.bridge}
    )
    failed_runs.evaluate_tick(context)
    assert context.cursor is not None
    last, seen = json.loads(context.cursor)
    assert (datetime.fromisoformat(last).tzinfo, seen) == (UTC, [])
    assert capsys.readouterr().err.count("the sensor's cursor cannot be read") == 1
