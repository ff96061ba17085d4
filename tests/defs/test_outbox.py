"""The receipts sensor asks for a run where transactions are stuck, and the run mends it."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.defs.bridge import receipts_sensor
from mmbot_pipelines.defs.outbox import replace_stuck_transactions
from tests.bridge.world import World


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def tick(world: World, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance, sensor_name="l1_receipts", resources={"bridge": world.bridge}
    )
    return receipts_sensor(["zksync"], most_runs=2).evaluate_tick(context)


def test_stuck_transactions_are_asked_about_once_in_a_while(
    world: World, instance: dg.DagsterInstance
) -> None:
    keys = world.set_and_detect(2)
    world.transfer(keys)
    assert tick(world, instance).run_requests == []
    world.chain.base_fee *= 5
    (request,) = tick(world, instance).run_requests or []
    assert request.job_name == replace_stuck_transactions.name
    assert {key: request.tags[key] for key in ("zksync/0", "zksync/1")} == {
        "zksync/0": "order",
        "zksync/1": "order",
    }
    (again,) = tick(world, instance).run_requests or []
    assert again.run_key == request.run_key  # Dagster starts it once
    world.later(30)
    (later,) = tick(world, instance).run_requests or []
    assert later.run_key != request.run_key


def test_the_run_replaces_them_and_claims_are_asked_for_beside_it(
    world: World, instance: dg.DagsterInstance
) -> None:
    (paid,) = world.set_and_detect()
    world.transfer([paid])
    world.chain.mine()
    (stuck,) = world.set_and_detect()
    world.transfer([stuck])
    world.chain.base_fee *= 5
    asked = {r.job_name for r in tick(world, instance).run_requests or []}
    assert asked == {"repay_orders", "replace_stuck_transactions"}
    result = replace_stuck_transactions.execute_in_process(
        resources={"bridge": world.bridge}, instance=instance
    )
    assert result.success
    world.mine()
    assert world.order(stuck).status is Status.FULFILLED
    assert len(world.store.transactions(stuck)) == 2


def test_what_l1_took_back_is_seen_by_the_sensor(
    world: World, instance: dg.DagsterInstance
) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.chain.reorg(1, keep=False)
    tick(world, instance)
    assert world.order(key).status is Status.TRANSFERRING
    assert sorted(world.chain.pool) == [0]  # sent again
