"""Orders brought to a status in memory, for tests of L2 reorgs."""

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from tests.bridge.harness import BridgeHarness

AMOUNT, FEE = 10**16, 10**16


def kinds(harness: BridgeHarness, key: str) -> list[str]:
    return [entry.fault.kind for entry in harness.store.errors.of(key)]


def at(harness: BridgeHarness, status: Status) -> Order:
    """Bring one order to a status; return it as the escrow logged it."""
    (logged,) = harness.l2.set_orders(1)
    (key,) = harness.detect()
    if status in (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING, Status.PROVED):
        harness.transfer([key])
    if status in (Status.FULFILLED, Status.PROVING, Status.PROVED):
        harness.mine()
    if status in (Status.PROVING, Status.PROVED):
        harness.repay([key])
    if status is Status.PROVED:
        harness.mine()
    assert harness.order(key).status is status
    return logged
