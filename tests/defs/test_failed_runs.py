"""Runs that ended without a word of their own, and failed orders as partitions."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import yaml
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.adapters.kms import KmsUnavailable
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.defs import requests
from mmbot_pipelines.defs.bridge import fill_orders
from mmbot_pipelines.defs.plain import plain_failures
from mmbot_pipelines.defs.upkeep import FAILED_ORDERS, failed_orders
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.bridge.world import World


def tick(world: World, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[str, str]:
    """Return what the sensor says, and its cursor."""
    context = dg.build_sensor_context(
        instance, cursor=cursor, sensor_name="failed_orders", resources={"bridge": world.bridge}
    )
    told = failed_orders.evaluate_tick(context)
    return told.skip_message or "", told.cursor or ""


def fill(
    world: World, instance: dg.DagsterInstance, keys: list[str], bridge: object = None
) -> None:
    """Run the transfer of these orders, which fails."""
    run = fill_orders.execute_in_process(
        run_config={"ops": {"transfer": {"config": {"order_keys": keys}}}},
        resources={"bridge": bridge or world.bridge},
        tags=requests.order_tags(keys),
        instance=instance,
        raise_on_error=False,
    )
    assert not run.success


def kinds(world: World, key: str) -> list[str]:
    return [e.fault.kind for e in world.store.errors(key)]


def test_a_run_that_died_is_noted_with_its_orders_once(world: World) -> None:
    keys = world.set_and_detect(2)
    steps.wanted(world.bridge, [Status.PENDING])
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance,
            fill_orders.name,
            tags=requests.order_tags(keys),
            status=dg.DagsterRunStatus.STARTED,
        )
        assert tick(world, instance)[0] == "0 failed orders, 0 runs died since the last look"
        instance.report_run_failed(died, "its process is gone")
        said, cursor = tick(world, instance)
        assert said == "0 failed orders, 1 runs died since the last look"
        assert tick(world, instance, cursor)[0].startswith("0 failed orders, 0 runs died")
    assert [kinds(world, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    assert died.run_id in world.store.errors("zksync")[0].fault.message
    again = steps.wanted(world.bridge, [Status.PENDING])
    assert [order.key for order in again] == keys


def test_a_run_whose_failure_is_stored_late_is_noted_too(world: World) -> None:
    """What happened while the database was away is dated before the last look."""
    keys = world.set_and_detect(1)
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance, tags=requests.order_tags(keys), status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_failed(died)
        later = datetime.now(UTC) + timedelta(minutes=5)
        tick(world, instance, json.dumps([later.isoformat(), []]))
    assert kinds(world, keys[0]) == ["RunDied"]


def test_a_run_that_failed_without_the_database_is_noted(world: World) -> None:
    keys = world.set_and_detect(2)
    with dg.instance_for_test() as instance:
        world.store.down = True
        fill(world, instance, keys)
        world.store.down = False
        tick(world, instance)
    assert [kinds(world, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    told = world.store.errors("zksync")[0].fault.message
    assert "of fill_orders could not keep what failed: " in told


def test_a_run_that_could_not_begin_is_noted_with_its_cause(world: World) -> None:
    @dg.resource
    @plain_failures()
    def unwired(_: dg.InitResourceContext) -> object:
        raise KmsUnavailable("AWS KMS cannot be reached (EndpointConnectionError)")

    (key,) = world.set_and_detect()
    with dg.instance_for_test() as instance:
        fill(world, instance, [key], unwired)
        tick(world, instance)
    (error,) = world.store.errors(key)
    assert error.fault.kind == "RunDied"
    assert error.fault.message.endswith(
        "of fill_orders could not begin: KmsUnavailable: "
        "AWS KMS cannot be reached (EndpointConnectionError)"
    )


def test_a_run_that_says_itself_what_failed_has_not_died(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "no")
    with dg.instance_for_test() as instance:
        fill(world, instance, [key])
        assert tick(world, instance)[0] == "1 failed orders, 0 runs died since the last look"
        assert instance.get_dynamic_partitions(str(FAILED_ORDERS.name)) == [key]
        world.chain.allow()
        steps.reprocess(world.bridge, [key], world.run)
        assert tick(world, instance)[0].startswith("0 failed orders")
    assert kinds(world, key) == ["RevertForeseen"]


def test_a_run_that_hangs_is_ended_in_time() -> None:
    """Dagster's own monitoring ends it, before its orders' sensor stops counting it."""
    given = yaml.safe_load((PACKAGE_ROOT / "dagster_home" / "dagster.yaml").read_text())
    monitoring = given["run_monitoring"]
    assert monitoring["enabled"] is True
    for limit in ("start_timeout_seconds", "max_runtime_seconds"):
        longest = monitoring[limit] + monitoring["poll_interval_seconds"]
        assert longest <= requests._UNDER_WAY_AT_MOST.total_seconds()
