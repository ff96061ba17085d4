"""A failed order in the UI: red with what to do, green with its history when it has recovered."""

from typing import Any

import dagster as dg
import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.defs.bridge import failed_orders as failed_orders_file
from mmbot_pipelines.defs.bridge import order_history
from mmbot_pipelines.defs.bridge.failed_orders import (
    FAILED_ORDERS,
    failed_order,
    failed_orders,
    no_order_is_parked,
)
from tests.bridge.harness import BridgeHarness


class Desk:
    """The sensor's ticks, one after the other, and the daemon that does as they ask."""

    def __init__(self, harness: BridgeHarness, instance: dg.DagsterInstance) -> None:
        self.harness, self.instance, self.cursor = harness, instance, None

    def tick(self) -> list[Any]:
        """Return the events that a tick reports."""
        context = dg.build_sensor_context(
            self.instance,
            sensor_name="failed_orders",
            cursor=self.cursor,
            resources={"bridge": self.harness.bridge},
        )
        done = failed_orders.evaluate_tick(context)
        self.cursor = done.cursor
        for request in done.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            self.instance.add_dynamic_partitions(str(FAILED_ORDERS.name), request.partition_keys)
        return list(done.asset_events)


def parked(harness: BridgeHarness) -> str:
    (key,) = harness.set_and_detect()
    harness.registry.rejecting.add(harness.order(key).recipient)
    harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).is_parked
    return key


def test_a_parked_order_is_red_with_what_to_do_until_it_recovers(harness: BridgeHarness) -> None:
    with dg.instance_for_test() as instance:
        desk = Desk(harness, instance)
        (green,) = desk.tick()
        assert (green.check_name, green.passed) == ("no_order_is_parked", True)
        key = parked(harness)
        shown, red = desk.tick()
        order = harness.order(key)
        assert (shown.asset_key, shown.partition) == (failed_order.key, key)
        assert shown.metadata["next step"].value == red.description
        assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert red.description == (
            f"{key} is parked at PROCESSING: recipient {order.recipient} refuses 0.01 ETH "
            "(10000000000000000 wei) (simulated; no gas spent). Leave it, or fix the cause and "
            f"materialize its partition (`mmbot retry {key}`)"
        )
        assert desk.tick() == []
        by_hand = no_order_is_parked(harness.bridge)
        assert isinstance(by_hand, dg.AssetCheckResult)
        assert by_hand.description == red.description

        harness.registry.rejecting.clear()
        steps.reprocess(harness.bridge, [key], harness.run)  # as `mmbot retry` does
        (green,) = desk.tick()
        assert green.passed
        harness.mine()
        harness.repay([key])
        harness.mine()
        harness.l2.deliver()
        harness.settle()
        assert harness.order(key).status is Status.COMPLETED
        (recovered,) = desk.tick()
        assert (recovered.asset_key, recovered.partition) == (failed_order.key, key)
        story = recovered.metadata
        assert story["status"].value == "COMPLETED"
        steps_taken = [record.data["to"] for record in story["history"].records]
        assert steps_taken[0] == "PENDING"
        assert steps_taken[-1] == "COMPLETED"
        assert {r.data["state"] for r in story["transactions"].records} == {"MINED"}
        assert story["errors"].records[0].data["kind"]
        assert desk.tick() == []


def test_materializing_a_partition_shows_the_whole_history(harness: BridgeHarness) -> None:
    with dg.instance_for_test() as instance:
        desk = Desk(harness, instance)
        key = parked(harness)
        desk.tick()
        harness.registry.rejecting.clear()
        done = dg.materialize(
            [failed_order],
            instance=instance,
            partition_key=key,
            resources={"bridge": harness.bridge},
        )
        (shown,) = done.asset_materializations_for_node("failed_order")
    story: dict[str, Any] = dict(shown.metadata)
    assert story["status"].value == "TRANSFERRING"
    assert story["amount (wei)"].value == str(10**16)
    assert len(story["transactions"].records) == 1
    assert story["errors"].records


@pytest.mark.parametrize("job", ["reprocess_order", "show_order"])
def test_a_run_is_tagged_with_an_order_that_there_is(harness: BridgeHarness, job: str) -> None:
    (key,) = harness.set_and_detect()
    with dg.instance_for_test() as instance:
        for number in (harness.order(key).number, 99, -1):
            launched(harness, instance, job, {"zksync": number})
        tags = [run.tags.get("order") for run in instance.get_runs(ascending=True)]
    assert tags == [key, None, None]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"zksync": ""},
        {"zksync": "7"},
        {"zksync": None},
        {"solana": 7},
        {"order_key": ""},
        {"zksync": 7, "starknet": 7},
    ],
)
@pytest.mark.parametrize("job", ["reprocess_order", "show_order"])
def test_the_launchpad_itself_refuses_what_is_no_order(
    harness: BridgeHarness, job: str, config: dict[str, object]
) -> None:
    with dg.instance_for_test() as instance:
        with pytest.raises(dg.DagsterInvalidConfigError):
            launched(harness, instance, job, config)
        assert instance.get_runs() == []


def launched(
    harness: BridgeHarness, instance: dg.DagsterInstance, job: str, config: dict[str, object]
) -> dg.ExecuteInProcessResult:
    """Launch a job for one order, as from its launchpad."""
    op = {"reprocess_order": "reprocess", "show_order": "order_history"}[job]
    parts = [failed_orders_file.definitions, order_history.definitions]
    defs = dg.Definitions.merge(*parts, dg.Definitions(resources={"bridge": harness.bridge}))
    return defs.resolve_job_def(job).execute_in_process(
        run_config={"ops": {op: {"config": config}}}, instance=instance, raise_on_error=False
    )


def test_an_order_that_never_failed_shows_its_whole_history(harness: BridgeHarness) -> None:
    harness.replace(explorers={GLOBAL: "https://l1.example", "zksync": "https://l2.example"})
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.repay([key])
    harness.mine()
    harness.l2.deliver()
    harness.settle()
    order = harness.order(key)
    assert order.status is Status.COMPLETED
    with dg.instance_for_test() as instance:
        done = launched(harness, instance, "show_order", {"zksync": order.number})
        logged = [e.user_message for e in instance.all_logs(done.run_id)]
    (shown,) = done.asset_materializations_for_node("order_history")
    links = shown.metadata["links"].value
    for tx, place in {
        order.set_order_tx: "https://l2.example/tx",
        order.transfer_tx: "https://l1.example/tx",
        order.claim_tx: "https://l1.example/tx",
        order.settle_tx: "https://l2.example/tx",
        order.recipient: "https://l1.example/address",
    }.items():
        assert f"[{tx}]({place}/{tx})" in links
    story = [line for line in logged if line.startswith((key, "history: ", "transactions: "))]
    assert story[0].startswith(f"{key}: COMPLETED, 0.01 ETH (10000000000000000 wei) for ")
    assert [line for line in story if "to COMPLETED" in line and str(order.settle_tx) in line]
    assert len([line for line in story if "state MINED" in line]) == 2
