"""Orders brought to a status in memory, for tests of L2 reorgs."""

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from tests.bridge.harness import BridgeHarness

AMOUNT, FEE = 10**16, 10**16


def kinds(harness: BridgeHarness, key: str) -> list[str]:
    return [entry.fault.kind for entry in harness.store.errors.of(key)]


def at(harness: BridgeHarness, status: Status) -> Order:
    """Bring one order to a status; return it as the escrow logged it."""
    return all_at(harness, status, 1)[0]


def all_at(harness: BridgeHarness, status: Status, count: int) -> list[Order]:
    """Bring orders to a status together; return them as the escrow logged them."""
    logged = harness.l2.set_orders(count)
    keys = harness.detect()
    if status in (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING, Status.PROVED):
        harness.transfer(keys)
    if status in (Status.FULFILLED, Status.PROVING, Status.PROVED):
        harness.mine()
    if status in (Status.PROVING, Status.PROVED):
        harness.repay(keys)
    if status is Status.PROVED:
        harness.mine()
    assert {harness.order(key).status for key in keys} == {status}
    return logged
