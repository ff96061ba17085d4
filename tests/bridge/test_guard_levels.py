"""Balance, chains, exposure and database: what throttles or halts the bridge, and when it ends."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from tests.bridge.guard_steps import state, thresholds, why
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ETH


def test_a_fall_under_the_floor_by_no_transaction_of_ours_halts(harness: BridgeHarness) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = ETH
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL
    harness.chain.endowment = ETH - 1
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.THROTTLED
    harness.later(5)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.HALTED
    assert "1 wei) left the wallet by no transaction of ours" in why(harness)


def test_a_wallet_that_begins_under_its_floor_is_no_fault(harness: BridgeHarness) -> None:
    thresholds(harness, min_balance=Wei(ETH))
    harness.chain.endowment = ETH // 2
    for _ in range(2):
        steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL


def test_a_silent_chain_throttles_its_own_scope_until_it_answers(harness: BridgeHarness) -> None:
    harness.l2.fault = RpcUnavailable("zksync: no node answered")
    steps.guard(harness.bridge, harness.run)
    assert (state(harness), state(harness, "zksync")) == (State.NORMAL, State.THROTTLED)
    assert why(harness, "zksync") == "zksync: no node answered"
    harness.l2.fault = None
    harness.later(1)
    steps.guard(harness.bridge, harness.run)
    assert state(harness, "zksync") is State.NORMAL
    assert [c.after for c in harness.store.safety.changes(9)] == [State.NORMAL, State.THROTTLED]


def test_a_chain_that_stands_throttles_and_then_halts(harness: BridgeHarness) -> None:
    thresholds(harness, max_lag=300.0)
    harness.lag = {"L1": 301}
    steps.guard(harness.bridge, harness.run)
    assert (state(harness), state(harness, "zksync")) == (State.THROTTLED, State.NORMAL)
    harness.lag = {"L1": 200}
    harness.later(60)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.THROTTLED  # better, but not well
    harness.lag = {"L1": 1, "zksync": 3001}
    for _ in range(2):
        harness.later(60)
        steps.guard(harness.bridge, harness.run)
    assert (state(harness), state(harness, "zksync")) == (State.NORMAL, State.HALTED)


def test_exposure_at_its_limit_throttles_until_enough_is_back(harness: BridgeHarness) -> None:
    thresholds(harness, max_exposure=Wei(3 * 10**16))
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.THROTTLED
    harness.mine()
    harness.repay(keys)
    harness.mine()
    harness.l2.deliver()
    steps.settle(harness.bridge, "zksync", harness.run)
    harness.later(60)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL


def test_a_slow_database_throttles(harness: BridgeHarness) -> None:
    scope_states = harness.store.safety.scope_states

    def slow() -> object:
        harness.later(2.5)
        return scope_states()

    harness.store.safety.scope_states = slow
    steps.guard(harness.bridge, harness.run)
    assert state_of(scope_states(), GLOBAL).why == "the database took 2.5 s to answer"


def test_a_store_that_is_away_cannot_be_judged(harness: BridgeHarness) -> None:
    with harness.unreachable(), pytest.raises(StoreUnavailable):
        steps.guard(harness.bridge, harness.run)
