"""A failed order in the UI: red with what to do, green with its history when it has recovered."""

from typing import Any

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.defs.bridge.failed_orders import (
    FAILED_ORDERS,
    failed_order,
    failed_orders,
    no_order_is_parked,
    reprocess_order,
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
        (red,) = desk.tick()
        order = harness.order(key)
        assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert red.description.startswith(f"{key} is parked at PROCESSING: ")
        for part in ("0.01 ETH", order.recipient, "Leave it, or", f"`mmbot retry {key}`"):
            assert part in red.description
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


def test_a_run_is_tagged_with_an_order_that_there_is(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    with dg.instance_for_test() as instance:
        for named in (key, "zksync:99", ""):
            reprocess_order.execute_in_process(
                run_config={"ops": {"reprocess": {"config": {"order_key": named}}}},
                resources={"bridge": harness.bridge},
                instance=instance,
                raise_on_error=False,
            )
        tags = [run.tags.get("order") for run in instance.get_runs(ascending=True)]
    assert tags == [key, None, None]
