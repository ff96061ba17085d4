"""Runs that ended without a word of their own, and failed orders as partitions."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import yaml
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.adapters.evm.kms import KmsUnavailable
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.defs.bridge import run_requests
from mmbot_pipelines.defs.bridge.orders import fill_orders
from mmbot_pipelines.defs.bridge.recovery import FAILED_ORDERS, failed_orders
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.bridge.harness import BridgeHarness


def tick(
    harness: BridgeHarness, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[str, str]:
    """Return the sensor's message and its cursor."""
    context = dg.build_sensor_context(
        instance, cursor=cursor, sensor_name="failed_orders", resources={"bridge": harness.bridge}
    )
    reported = failed_orders.evaluate_tick(context)
    return reported.skip_message or "", reported.cursor or ""


def fill(
    harness: BridgeHarness, instance: dg.DagsterInstance, keys: list[str], bridge: object = None
) -> None:
    """Run the transfer of these orders, which fails."""
    run = fill_orders.execute_in_process(
        run_config={"ops": {"transfer": {"config": {"order_keys": keys}}}},
        resources={"bridge": bridge or harness.bridge},
        tags=run_requests.order_tags(keys),
        instance=instance,
        raise_on_error=False,
    )
    assert not run.success


def kinds(harness: BridgeHarness, key: str) -> list[str]:
    return [e.fault.kind for e in harness.store.errors(key)]


def test_a_run_that_died_is_noted_with_its_orders_once(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    steps.take_orders(harness.bridge, [Status.PENDING])
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance,
            fill_orders.name,
            tags=run_requests.order_tags(keys),
            status=dg.DagsterRunStatus.STARTED,
        )
        assert tick(harness, instance)[0] == "0 failed orders, 0 runs died since the last look"
        instance.report_run_failed(died, "its process is gone")
        logged, cursor = tick(harness, instance)
        assert logged == "0 failed orders, 1 runs died since the last look"
        assert tick(harness, instance, cursor)[0].startswith("0 failed orders, 0 runs died")
    assert [kinds(harness, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    assert died.run_id in harness.store.errors("zksync")[0].fault.message
    again = steps.take_orders(harness.bridge, [Status.PENDING])
    assert [order.key for order in again] == keys


def test_a_run_whose_failure_is_stored_late_is_noted_too(harness: BridgeHarness) -> None:
    """What happened while the database was away is dated before the last look."""
    keys = harness.set_and_detect(1)
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance, tags=run_requests.order_tags(keys), status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_failed(died)
        later = datetime.now(UTC) + timedelta(minutes=5)
        tick(harness, instance, json.dumps([later.isoformat(), []]))
    assert kinds(harness, keys[0]) == ["RunDied"]


def test_a_run_that_failed_without_the_database_is_noted(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    with dg.instance_for_test() as instance:
        harness.store.down = True
        fill(harness, instance, keys)
        harness.store.down = False
        tick(harness, instance)
    assert [kinds(harness, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    reported = harness.store.errors("zksync")[0].fault.message
    assert "of fill_orders could not keep what failed: " in reported


def test_a_run_that_could_not_begin_is_noted_with_its_cause(harness: BridgeHarness) -> None:
    @dg.resource
    @operator_errors()
    def unwired(_: dg.InitResourceContext) -> object:
        raise KmsUnavailable("AWS KMS cannot be reached (EndpointConnectionError)")

    (key,) = harness.set_and_detect()
    with dg.instance_for_test() as instance:
        fill(harness, instance, [key], unwired)
        tick(harness, instance)
    (error,) = harness.store.errors(key)
    assert error.fault.kind == "RunDied"
    assert error.fault.message.endswith(
        "of fill_orders could not begin: KmsUnavailable: "
        "AWS KMS cannot be reached (EndpointConnectionError)"
    )


def test_a_run_that_reports_itself_what_failed_has_not_died(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "no")
    with dg.instance_for_test() as instance:
        fill(harness, instance, [key])
        assert tick(harness, instance)[0] == "1 failed orders, 0 runs died since the last look"
        assert instance.get_dynamic_partitions(str(FAILED_ORDERS.name)) == [key]
        harness.chain.allow()
        steps.reprocess(harness.bridge, [key], harness.run)
        assert tick(harness, instance)[0].startswith("0 failed orders")
    assert kinds(harness, key) == ["SimulationReverted"]


def test_a_run_that_hangs_is_ended_in_time() -> None:
    """Dagster's own monitoring ends it, before its orders' sensor stops counting it."""
    given = yaml.safe_load((PACKAGE_ROOT / "dagster_home" / "dagster.yaml").read_text())
    monitoring = given["run_monitoring"]
    assert monitoring["enabled"] is True
    for limit in ("start_timeout_seconds", "max_runtime_seconds"):
        longest = monitoring[limit] + monitoring["poll_interval_seconds"]
        assert longest <= run_requests._MAX_RUNNING_FOR.total_seconds()
