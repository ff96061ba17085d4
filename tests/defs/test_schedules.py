"""What the 5-minute schedules do, and when."""

import dagster as dg
import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.defs.bridge import schedules
from tests.bridge.harness import BridgeHarness

JOBS = {each.name: each.job for each in schedules.definitions.schedules or () if each.job}


def run(harness: BridgeHarness, name: str) -> None:
    with dg.instance_for_test() as instance:
        done = JOBS[name].execute_in_process(
            instance=instance, resources={"bridge": harness.bridge}
        )
    assert done.success


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("accepted_blocks_backfill", Status.FULFILLED),
        # The sensor and the backfill read receipts: a retry without work holds no worker.
        ("failed_orders_retry", Status.TRANSFERRING),
    ],
)
def test_the_backfill_alone_reads_receipts_where_it_finds_no_order(
    harness: BridgeHarness, name: str, status: Status
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.chain.mine()
    run(harness, name)
    assert harness.order(key).status is status


def test_the_schedules_do_not_begin_together() -> None:
    crons = {each.cron_schedule for each in schedules.definitions.schedules or ()}
    assert len(crons) == len(JOBS) == 2
