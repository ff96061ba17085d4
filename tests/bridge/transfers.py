"""Orders whose transfers are on their way, and what is stored of these."""

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.bridge.world import World

GWEI = 10**9


def rows(world: World, key: str) -> list[Transaction]:
    return world.store.transactions(key)


def ends(world: World, key: str) -> list[tuple[str, int, TxState]]:
    return [(t.purpose, t.bump, t.state) for t in rows(world, key)]


def transferring(world: World, count: int = 1, **order: object) -> list[str]:
    keys = world.set_and_detect(count, **order)
    world.transfer(keys)
    assert set(world.statuses().values()) == {Status.TRANSFERRING}
    return keys
