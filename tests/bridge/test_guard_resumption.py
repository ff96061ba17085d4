"""What only a person decides: the end of a halt, and its scope."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.core.safety import GLOBAL, NotDecided, State
from tests.bridge.guarding import revert, state
from tests.bridge.world import World


def test_after_a_resumption_failures_are_counted_anew(world: World) -> None:
    revert(world, 10)
    world.later(1)
    guard.resume(world.bridge, GLOBAL, by="Ann", reason="the node was wrong")
    steps.guard(world.bridge, world.run)
    revert(world, 9)
    assert state(world) is State.NORMAL
    revert(world, 1)
    assert state(world) is State.HALTED
    assert [c.by for c in world.safety.changes(9)] == ["mmbot", "Ann", "mmbot"]


def test_nothing_else_ends_a_halt(world: World) -> None:
    revert(world, 10)
    for _ in range(20):
        world.later(3600)
        steps.guard(world.bridge, world.run)
        assert state(world) is State.HALTED


@pytest.mark.parametrize("decide", [guard.halt, guard.resume])
def test_a_scope_that_does_not_exist_is_refused(
    world: World, decide: Callable[..., object]
) -> None:
    with pytest.raises(NotDecided, match="choose one of global, zksync"):
        decide(world.bridge, "starknet", by="Ann", reason="a look")
