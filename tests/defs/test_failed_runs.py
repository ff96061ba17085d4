"""Runs that ended without a word of their own, and failed orders as partitions."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.adapters.evm.kms import KmsRefused, KmsUnavailable
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.defs.bridge import run_requests
from mmbot_pipelines.defs.bridge.failed_runs import failed_runs
from mmbot_pipelines.defs.bridge.orders import fill_orders
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.bridge.harness import BridgeHarness


def tick(
    harness: BridgeHarness, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[str], str]:
    """Return the runs that the sensor reacts to, and its cursor."""
    context = dg.build_sensor_context(
        instance, cursor=cursor, sensor_name="failed_runs", resources={"bridge": harness.bridge}
    )
    answer = failed_runs.evaluate_tick(context)
    assert bool(answer.skip_message) == (not answer.dagster_run_reactions)
    reactions = answer.dagster_run_reactions or []
    return [r.dagster_run.run_id for r in reactions if r.dagster_run], answer.cursor or ""


def launched_with(keys: list[str]) -> dict[str, object]:
    return {"ops": {"transfer": {"config": {"order_keys": keys}}}}


def fill(
    harness: BridgeHarness, instance: dg.DagsterInstance, keys: list[str], bridge: object = None
) -> None:
    """Run the transfer of these orders, which fails."""
    run = fill_orders.execute_in_process(
        run_config=launched_with(keys),
        resources={"bridge": bridge or harness.bridge},
        instance=instance,
        raise_on_error=False,
    )
    assert not run.success


def kinds(harness: BridgeHarness, key: str) -> list[str]:
    return [e.fault.kind for e in harness.store.errors.of(key)]


def test_a_run_that_died_is_noted_with_its_orders_once(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    steps.take_orders(harness.bridge, [Status.PENDING])
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance,
            fill_orders.name,
            run_config=launched_with(keys),
            status=dg.DagsterRunStatus.STARTED,
        )
        assert tick(harness, instance)[0] == []
        instance.report_run_failed(died, "its process is gone")
        recorded, cursor = tick(harness, instance)
        assert recorded == [died.run_id]
        assert tick(harness, instance, cursor)[0] == []
    assert [kinds(harness, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    assert died.run_id in harness.store.errors.of("zksync")[0].fault.message
    again = steps.take_orders(harness.bridge, [Status.PENDING])
    assert [order.key for order in again] == keys


def test_a_run_whose_failure_is_stored_late_is_noted_too(harness: BridgeHarness) -> None:
    """What happened while the database was away is dated before the last look."""
    keys = harness.set_and_detect(1)
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance, run_config=launched_with(keys), status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_failed(died)
        later = datetime.now(UTC) + timedelta(minutes=5)
        tick(harness, instance, json.dumps([later.isoformat(), []]))
    assert kinds(harness, keys[0]) == ["RunDied"]


def test_a_run_that_failed_without_the_database_is_noted(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    with dg.instance_for_test() as instance:
        with harness.unreachable():
            fill(harness, instance, keys)
        tick(harness, instance)
    assert [kinds(harness, subject) for subject in (*keys, "zksync")] == [[], [], ["RunDied"]]
    reported = harness.store.errors.of("zksync")[0].fault.message
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
    (error,) = harness.store.errors.of(key)
    assert error.fault.kind == "RunDied"
    assert error.fault.message.endswith(
        "of fill_orders could not begin: KmsUnavailable: "
        "AWS KMS cannot be reached (EndpointConnectionError)"
    )


def test_a_run_that_reports_itself_what_failed_has_not_died(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()

    def disabled(*_: object, **__: object) -> None:
        raise KmsRefused("the key is disabled")

    monkeypatch.setattr(harness.chain, "sign", disabled)
    with dg.instance_for_test() as instance:
        fill(harness, instance, [key])
        assert tick(harness, instance)[0] == []
    assert kinds(harness, key) == ["KmsRefused"]


def test_a_run_that_hangs_is_ended_in_time() -> None:
    """Dagster's own monitoring ends it, before its orders' sensor stops counting it."""
    given = yaml.safe_load((PACKAGE_ROOT / "dagster_home" / "dagster.yaml").read_text())
    monitoring = given["run_monitoring"]
    assert monitoring["enabled"] is True
    for limit in ("start_timeout_seconds", "max_runtime_seconds"):
        longest = monitoring[limit] + monitoring["poll_interval_seconds"]
        assert longest <= run_requests._MAX_RUNNING_FOR.total_seconds()


def test_dagsters_own_sensor_would_pass_over_a_failure_that_it_could_not_record() -> None:
    """Why `failed_runs` is none: when this fails, Dagster has learned it; see failed_runs.py."""

    @dg.run_failure_sensor
    def own(_: dg.RunFailureSensorContext) -> None:
        raise ConnectionError("the database is away")

    with dg.instance_for_test() as instance:
        first = own.evaluate_tick(dg.build_sensor_context(instance, sensor_name="own"))
        died = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(died)
        context = dg.build_sensor_context(instance, cursor=first.cursor, sensor_name="own")
        second = own.evaluate_tick(context)
        (reaction,) = second.dagster_run_reactions or []
        assert reaction.error is not None
        context = dg.build_sensor_context(instance, cursor=second.cursor, sensor_name="own")
        assert not own.evaluate_tick(context).dagster_run_reactions


def test_a_run_that_was_given_no_orders_and_died_is_recorded_with_those_it_found(
    harness: BridgeHarness,
) -> None:
    """A 5-minute job names its orders in the database alone, before it takes them on."""
    keys = harness.set_and_detect(2)
    with dg.instance_for_test() as instance:
        died = create_run_for_test(
            instance, "accepted_blocks_backfill", status=dg.DagsterRunStatus.STARTED
        )
        steps.record_run(harness.bridge, died.run_id, keys)
        instance.report_run_failed(died)
        assert tick(harness, instance)[0] == [died.run_id]
    assert [e.run_id for e in harness.store.errors.of("zksync")] == [died.run_id]


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_records_its_orders_and_tags_itself_only_with_a_single_one(
    harness: BridgeHarness, count: int
) -> None:
    keys = harness.set_and_detect(count)
    orders = [harness.order(key) for key in keys]
    (request,) = run_requests.run_requests("transfer", "zksync", orders, max_runs=1)
    with dg.instance_for_test() as instance:
        run = fill_orders.execute_in_process(
            run_config=request.run_config,
            tags=dict(request.tags),
            resources={"bridge": harness.bridge},
            instance=instance,
        )
    assert run.success
    assert harness.store.orders.of_run(run.run_id) == keys
    assert request.tags.get("order") == (keys[0] if count == 1 else None)
    assert set(request.tags) <= {"order", "origin"}


@pytest.mark.parametrize(
    "config",
    [{}, {"ops": None}, {"ops": {"transfer": None}}, {"ops": {"transfer": {"config": 7}}}]
    + [{"ops": {"transfer": {"config": {"order_keys": keys}}}} for keys in (None, [None], ["x"])],
)
def test_a_configuration_that_names_no_order_keeps_no_failed_run_from_being_recorded(
    harness: BridgeHarness, config: dict[str, object]
) -> None:
    (key,) = harness.set_and_detect()
    with dg.instance_for_test() as instance:
        odd = create_run_for_test(instance, run_config=config)
        instance.report_run_failed(odd)
        died = create_run_for_test(instance, run_config=launched_with([key]))
        instance.report_run_failed(died)
        assert tick(harness, instance)[0] == [died.run_id]
