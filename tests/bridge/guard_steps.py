"""Steps and reads of the guard's tests."""

from dataclasses import replace

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from tests.bridge.harness import BridgeHarness


def state(harness: BridgeHarness, scope: str = GLOBAL) -> State:
    return state_of(harness.store.safety.scope_states(), scope).state


def why(harness: BridgeHarness, scope: str = GLOBAL) -> str:
    return state_of(harness.store.safety.scope_states(), scope).why


def thresholds(harness: BridgeHarness, **changes: object) -> None:
    harness.rules(thresholds=replace(harness.bridge.rules.thresholds, **changes))


def halt(harness: BridgeHarness, scope: str = GLOBAL) -> None:
    guard.halt(harness.bridge, scope, by="Ann", reason="a look")


def throttle(harness: BridgeHarness) -> None:
    """Throttle everything: the database is slow."""
    thresholds(harness, slow_store=-1.0)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.THROTTLED


def revert(harness: BridgeHarness, count: int) -> None:
    """Let `count` new orders be sent and revert when they are mined, one after the other."""
    harness.chain.refuse(lambda _: True, "no", foreseen=False)
    for _ in range(count):
        harness.later(1)
        harness.transfer(harness.set_and_detect())
        harness.mine()
    harness.chain.allow()


def complete(harness: BridgeHarness) -> str:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.later(1)
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    return key
