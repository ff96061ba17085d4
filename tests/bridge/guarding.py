"""What tests of the guard do to a world, and read from it."""

from dataclasses import replace

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.safety import GLOBAL, State, of
from tests.bridge.world import World


def state(world: World, scope: str = GLOBAL) -> State:
    return of(world.safety.standings(), scope).state


def why(world: World, scope: str = GLOBAL) -> str:
    return of(world.safety.standings(), scope).why


def thresholds(world: World, **changes: object) -> None:
    world.rules(thresholds=replace(world.bridge.rules.thresholds, **changes))


def halt(world: World, scope: str = GLOBAL) -> None:
    guard.halt(world.bridge, scope, by="Ann", reason="a look")


def throttle(world: World) -> None:
    """Throttle everything: the database is slow."""
    thresholds(world, slow_store=-1.0)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED


def revert(world: World, count: int) -> None:
    """Let `count` new orders be sent and revert when they are mined, one after the other."""
    world.chain.refuse(lambda _: True, "no", foreseen=False)
    for _ in range(count):
        world.later(1)
        world.transfer(world.set_and_detect())
        world.mine()
    world.chain.allow()


def complete(world: World) -> str:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.later(1)
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    return key
