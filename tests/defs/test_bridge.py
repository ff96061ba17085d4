"""The orders' sensors as Dagster sees them when something is in the way."""

import logging

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from mmbot_pipelines.adapters.evm.kms import KmsRefused
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import ScopeState, State
from mmbot_pipelines.defs.bridge.orders import (
    fill_orders,
    orders_sensors,
    repay_orders,
    settlements_sensor,
)
from tests.bridge.harness import BridgeHarness
from tests.ports.store_writes import change_state

MAX_RUNS = 2
REJECTING = Address("0x00000000000000000000000000000000000000Fe")


def tick(harness: BridgeHarness, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance, sensor_name="zksync_orders", resources={"bridge": harness.bridge}
    )
    return orders_sensors("zksync", MAX_RUNS)[0].evaluate_tick(context)


def test_no_more_runs_are_asked_for_than_can_be_done(harness: BridgeHarness) -> None:
    harness.l2.set_orders(5)
    with dg.instance_for_test() as instance:
        runs = [
            create_run_for_test(
                instance,
                fill_orders.name,
                tags={"origin": "zksync"},
                status=dg.DagsterRunStatus.STARTED,
            )
            for _ in range(2 * MAX_RUNS)
        ]
        is_run_limit_reached = tick(harness, instance)
        assert is_run_limit_reached.run_requests == []
        assert (is_run_limit_reached.skip_message or "").startswith("run limit reached")
        assert set(harness.statuses().values()) == {Status.PENDING}  # stored all the same
        assert len(harness.statuses()) == 5
        instance.delete_run(runs[0].run_id)
        (request,) = tick(harness, instance).run_requests or []
    assert len(request.run_config["ops"]["transfer"]["config"]["order_keys"]) == 5


def test_throttled_is_one_run_where_there_were_several(harness: BridgeHarness) -> None:
    harness.l2.set_orders(MAX_RUNS)
    with dg.instance_for_test() as instance:
        assert len(tick(harness, instance).run_requests or []) == MAX_RUNS
        harness.l2.set_orders(MAX_RUNS)
        slower = ScopeState(scope="zksync", state=State.THROTTLED, since=harness.now, why="slow")
        change_state(harness.store, ScopeState(scope="zksync"), slower, at=harness.now)
        assert len(tick(harness, instance).run_requests or []) == 1


def filled(
    harness: BridgeHarness, instance: dg.DagsterInstance, keys: list[str]
) -> tuple[dg.ExecuteInProcessResult, list[str]]:
    """Run `fill_orders`; return what became of it, and the lines above INFO in its log."""
    run = fill_orders.execute_in_process(
        run_config={"ops": {"transfer": {"config": {"order_keys": keys}}}},
        resources={"bridge": harness.bridge},
        instance=instance,
        raise_on_error=False,
    )
    logged = instance.all_logs(run.run_id)
    return run, [entry.user_message for entry in logged if entry.level > logging.INFO]


def refused_and_good(harness: BridgeHarness) -> list[str]:
    """Return an order whose recipient refuses the money, and one whose does not."""
    harness.registry.rejecting.add(REJECTING)
    return [*harness.set_and_detect(recipient=REJECTING), *harness.set_and_detect()]


def test_a_run_is_green_whose_orders_only_strangers_made_fail(harness: BridgeHarness) -> None:
    refused, good = refused_and_good(harness)
    with dg.instance_for_test() as instance:
        run, (warning,) = filled(harness, instance, [refused, good])
    assert run.success
    assert f"{refused}: SimulationReverted: " in warning
    assert harness.order(refused).is_parked
    assert harness.order(good).status is Status.TRANSFERRING


def test_a_run_is_red_for_the_bots_own_fault_and_names_it_first(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, unsigned = refused_and_good(harness)

    def disabled(*_: object, **__: object) -> None:
        raise KmsRefused("the key is disabled")

    monkeypatch.setattr(harness.chain, "sign", disabled)
    with dg.instance_for_test() as instance:
        run, _ = filled(harness, instance, [refused, unsigned])
    (failed,) = [e.step_failure_data for e in run.all_events if e.is_step_failure]
    message = failed.user_failure_data.description.splitlines()
    assert message[1:] == [
        f"{unsigned}: KmsRefused: the key is disabled",
        f"{refused}: {harness.order(refused).reason}",
    ]


def settled(harness: BridgeHarness, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance, sensor_name="zksync_settlements", resources={"bridge": harness.bridge}
    )
    return settlements_sensor("zksync").evaluate_tick(context)


def test_a_tick_that_completes_orders_is_not_shown_as_skipped(harness: BridgeHarness) -> None:
    """Dagster calls a tick successful for a run that it asks for or reacts to, and no other."""
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    with dg.instance_for_test() as instance:
        claim = repay_orders.execute_in_process(
            run_config={"ops": {"repay": {"config": {"order_keys": [key]}}}},
            resources={"bridge": harness.bridge},
            instance=instance,
        )
        assert claim.success
        harness.mine()
        assert settled(harness, instance).skip_message == "the zksync escrow paid for no order"
        harness.l2.deliver()
        tick = settled(harness, instance)
    assert harness.order(key).status is Status.COMPLETED
    assert tick.skip_message is None
    (reaction,) = tick.dagster_run_reactions or []
    assert reaction.dagster_run is not None
    assert (reaction.dagster_run.run_id, reaction.error) == (claim.run_id, None)
