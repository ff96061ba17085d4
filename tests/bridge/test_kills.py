"""The process dies between two effects while claims go out behind their transfers.

tests/crash kills a real process, at each point once for claims that wait for their transfers.
"""

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.failpoints import Point
from tests.bridge.fault_harness import FaultHarness


@pytest.fixture
def faults() -> FaultHarness:
    """Return a bridge with one order done, so that later claims may go with their transfers."""
    faults = FaultHarness()
    faults.harness.rules(claim_with_transfer=True)
    faults.harness.l2.set_orders(1)
    for _ in range(3):
        faults.everything()
    assert set(faults.harness.statuses().values()) == {Status.COMPLETED}
    faults.harness.l2.set_orders(2)
    return faults


def check_died_and_went_on(faults: FaultHarness) -> None:
    """Check that the process has died, and that every order reaches its end all the same."""
    assert faults.doomed is None
    faults.harness.chain.max_per_block = None
    faults.harness.chain.allow()
    for _ in range(6):
        faults.everything()
    faults.check_end()


@pytest.mark.parametrize(
    "point",
    [Point.DECIDED, Point.RECEIPT_READ, Point.SETTLEMENT_SEEN],
)
def test_a_kill_on_the_way(faults: FaultHarness, point: Point) -> None:
    faults.doomed = point
    faults.everything()
    check_died_and_went_on(faults)


@pytest.mark.parametrize("point", [Point.FAILURE_SEEN, Point.FAILURE_STORED])
def test_a_kill_at_a_failure(faults: FaultHarness, point: Point) -> None:
    faults.harness.chain.refuse(lambda call: call.value > 0, "no", foreseen=True)
    faults.doomed = point
    faults.everything()
    check_died_and_went_on(faults)


@pytest.mark.parametrize("point", [Point.REPLACEMENT_STORED, Point.REPLACEMENT_BROADCAST])
def test_a_kill_at_a_replacement(faults: FaultHarness, point: Point) -> None:
    faults.harness.chain.max_per_block = 0
    faults.everything()
    faults.doomed = point
    faults.everything()
    check_died_and_went_on(faults)
