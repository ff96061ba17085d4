"""The receipts sensor asks for a run where transactions are stuck, and the run replaces them."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.defs.bridge.orders import receipts_sensors, replace_stuck_transactions
from tests.bridge.harness import BridgeHarness


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def tick(harness: BridgeHarness, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance, sensor_name="l1_receipts", resources={"bridge": harness.bridge}
    )
    return receipts_sensors(["zksync"], max_runs=2)[0].evaluate_tick(context)


def test_stuck_transactions_are_asked_about_once_in_a_while(
    harness: BridgeHarness, instance: dg.DagsterInstance
) -> None:
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    assert tick(harness, instance).run_requests == []
    harness.chain.base_fee *= 5
    (request,) = tick(harness, instance).run_requests or []
    assert request.job_name == replace_stuck_transactions.name
    assert request.run_config["ops"]["replace"]["config"]["order_keys"] == keys
    assert "order" not in request.tags
    (again,) = tick(harness, instance).run_requests or []
    assert again.run_key == request.run_key  # Dagster starts it once
    harness.later(30)
    (later,) = tick(harness, instance).run_requests or []
    assert later.run_key != request.run_key


def test_the_run_replaces_them_and_claims_are_asked_for_beside_it(
    harness: BridgeHarness, instance: dg.DagsterInstance
) -> None:
    (paid,) = harness.set_and_detect()
    harness.transfer([paid])
    harness.chain.mine()
    (stuck,) = harness.set_and_detect()
    harness.transfer([stuck])
    harness.chain.base_fee *= 5
    asked = {r.job_name for r in tick(harness, instance).run_requests or []}
    assert asked == {"repay_orders", "replace_stuck_transactions"}
    result = replace_stuck_transactions.execute_in_process(
        resources={"bridge": harness.bridge}, instance=instance
    )
    assert result.success
    harness.mine()
    assert harness.order(stuck).status is Status.FULFILLED
    assert len(harness.store.outbox.of(stuck)) == 2


def test_what_l1_reorged_out_is_seen_by_the_sensor(
    harness: BridgeHarness, instance: dg.DagsterInstance
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.chain.reorg(1, keep=False)
    tick(harness, instance)
    assert harness.order(key).status is Status.TRANSFERRING
    assert sorted(harness.chain.pool) == [0]  # sent again
