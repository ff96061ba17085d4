"""Orders brought to a status on the in-memory world, for tests of what an L2 takes back."""

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from tests.bridge.world import World

AMOUNT, FEE = 10**16, 10**16


def kinds(world: World, key: str) -> list[str]:
    return [entry.fault.kind for entry in world.store.errors(key)]


def at(world: World, status: Status) -> Order:
    """Bring one order to a status; return it as the escrow logged it."""
    (logged,) = world.l2.set_orders(1)
    (key,) = world.detect()
    if status in (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING, Status.PROVED):
        world.transfer([key])
    if status in (Status.FULFILLED, Status.PROVING, Status.PROVED):
        world.mine()
    if status in (Status.PROVING, Status.PROVED):
        world.repay([key])
    if status is Status.PROVED:
        world.mine()
    assert world.order(key).status is status
    return logged
