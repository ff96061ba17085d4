"""Balance, chains, exposure and database: what throttles or halts the bridge, and when it ends."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import GLOBAL, State, of
from tests.bridge.guarding import state, thresholds, why
from tests.bridge.world import World
from tests.ports.chain_memory import ETH


def test_a_fall_under_the_floor_by_no_transaction_of_ours_halts(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = ETH
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL
    world.chain.endowment = ETH - 1
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED
    world.later(5)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.HALTED
    assert "1 wei) left the wallet by no transaction of ours" in why(world)


def test_a_wallet_that_begins_under_its_floor_is_no_fault(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = ETH // 2
    for _ in range(2):
        steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


def test_a_silent_chain_throttles_its_own_scope_until_it_answers(world: World) -> None:
    world.l2.fault = RpcUnavailable("zksync: no node answered")
    steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.NORMAL, State.THROTTLED)
    assert why(world, "zksync") == "zksync: no node answered"
    world.l2.fault = None
    world.later(1)
    steps.guard(world.bridge, world.run)
    assert state(world, "zksync") is State.NORMAL
    assert [c.after for c in world.safety.changes(9)] == [State.NORMAL, State.THROTTLED]


def test_a_chain_that_stands_throttles_and_then_halts(world: World) -> None:
    thresholds(world, max_lag=300.0)
    world.lag = {"L1": 301}
    steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.THROTTLED, State.NORMAL)
    world.lag = {"L1": 200}
    world.later(60)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED  # better, but not well
    world.lag = {"L1": 1, "zksync": 3001}
    for _ in range(2):
        world.later(60)
        steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.NORMAL, State.HALTED)


def test_exposure_at_its_limit_throttles_until_enough_is_back(world: World) -> None:
    thresholds(world, max_outlay=Wei(3 * 10**16))
    keys = world.set_and_detect(3)
    world.transfer(keys)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED
    world.mine()
    world.repay(keys)
    world.mine()
    world.l2.deliver()
    steps.settle(world.bridge, "zksync", world.run)
    world.later(60)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


def test_a_slow_database_throttles(world: World) -> None:
    standings = world.safety.standings

    def slow() -> object:
        world.later(2.5)
        return standings()

    world.safety.standings = slow  # type: ignore[method-assign, assignment]
    steps.guard(world.bridge, world.run)
    assert of(standings(), GLOBAL).why == "the database took 2.5 s to answer"


def test_a_store_that_is_away_cannot_be_judged(world: World) -> None:
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        steps.guard(world.bridge, world.run)
