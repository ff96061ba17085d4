"""What only a person decides: the end of a halt, and its scope."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.core.safety import GLOBAL, InvalidDecision, State
from tests.bridge.guard_steps import revert, state
from tests.bridge.harness import BridgeHarness


def test_after_a_resumption_failures_are_counted_from_zero(harness: BridgeHarness) -> None:
    revert(harness, 10)
    harness.later(1)
    guard.resume(harness.bridge, GLOBAL, by="Ann", reason="the node was wrong")
    steps.guard(harness.bridge, harness.run)
    revert(harness, 9)
    assert state(harness) is State.NORMAL
    revert(harness, 1)
    assert state(harness) is State.HALTED
    assert [c.by for c in harness.store.safety.changes(9)] == ["mmbot", "Ann", "mmbot"]


def test_nothing_else_ends_a_halt(harness: BridgeHarness) -> None:
    revert(harness, 10)
    for _ in range(20):
        harness.later(3600)
        steps.guard(harness.bridge, harness.run)
        assert state(harness) is State.HALTED


@pytest.mark.parametrize("decide", [guard.halt, guard.resume])
def test_a_scope_that_does_not_exist_is_refused(
    harness: BridgeHarness, decide: Callable[..., object]
) -> None:
    with pytest.raises(InvalidDecision, match="choose one of global, zksync"):
        decide(harness.bridge, "starknet", by="Ann", reason="a look")
