"""The orders' sensors as Dagster sees them when something is in the way."""

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.safety import Standing, State
from mmbot_pipelines.defs.bridge import fill_orders, orders_sensor
from tests.bridge.world import World

MOST_RUNS = 2


def tick(world: World, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance, sensor_name="zksync_orders", resources={"bridge": world.bridge}
    )
    return orders_sensor("zksync", MOST_RUNS).evaluate_tick(context)


def test_no_more_runs_are_asked_for_than_can_be_done(world: World) -> None:
    world.l2.set_orders(5)
    with dg.instance_for_test() as instance:
        runs = [
            create_run_for_test(
                instance,
                fill_orders.name,
                tags={"origin": "zksync"},
                status=dg.DagsterRunStatus.STARTED,
            )
            for _ in range(2 * MOST_RUNS)
        ]
        crowded = tick(world, instance)
        assert crowded.run_requests == []
        assert (crowded.skip_message or "").startswith("many runs are under way")
        assert set(world.statuses().values()) == {Status.PENDING}  # stored all the same
        assert len(world.statuses()) == 5
        instance.delete_run(runs[0].run_id)
        (request,) = tick(world, instance).run_requests or []
    assert len(request.run_config["ops"]["transfer"]["config"]["order_keys"]) == 5


def test_throttled_is_one_run_where_there_were_several(world: World) -> None:
    world.l2.set_orders(MOST_RUNS)
    with dg.instance_for_test() as instance:
        assert len(tick(world, instance).run_requests or []) == MOST_RUNS
        world.l2.set_orders(MOST_RUNS)
        slower = Standing(scope="zksync", state=State.THROTTLED, since=world.now, why="slow")
        world.safety.change(Standing(scope="zksync"), slower, at=world.now)
        assert len(tick(world, instance).run_requests or []) == 1
