"""One answer of a moment that would halt: a person is not needed where it was wrong."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.safety import State
from tests.attacks.liar import Liar
from tests.attacks.test_registry_version import AnotherRegistry
from tests.bridge.guarding import state, thresholds
from tests.bridge.world import World
from tests.chain.scene import played
from tests.devnet.bridge import Devnet, running
from tests.ports.chain_memory import ETH

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]


def market_maker(world: World, lies: bool) -> None:
    world.registry.market_maker = STRANGER if lies else world.chain.wallet


def escrow(world: World, lies: bool) -> None:
    world.l2.pays_us = not lies


def registry(world: World, lies: bool) -> None:
    other = AnotherRegistry(world.chain)
    other.odd = lies
    world.registry = world.l2.registry = other
    world.bridge = replace(world.bridge, registry=other)


LIES = [market_maker, escrow, registry]


def asked(world: World, seconds: float) -> list[str]:
    world.later(seconds)
    return [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")]


@pytest.mark.parametrize("lie", LIES)
def test_what_is_right_again_seconds_later_halts_nothing(
    world: World, lie: Callable[[World, bool], None]
) -> None:
    keys = world.set_and_detect(3)
    lie(world, True)
    world.transfer(asked(world, 0))
    assert {world.order(key).failed for key in keys} == {False}
    assert world.chain.broadcasts == []
    lie(world, False)
    world.transfer(asked(world, 11))  # it is looked at again soon
    world.mine()
    assert [world.paid(key) for key in keys] == [1] * 3
    assert world.safety.standings() == []


@pytest.mark.parametrize("lie", LIES)
def test_what_is_so_seconds_later_too_halts(
    world: World, lie: Callable[[World, bool], None]
) -> None:
    keys = world.set_and_detect(3)
    lie(world, True)
    world.transfer(keys)
    world.transfer(keys)  # in the same moment: it proves nothing more
    assert world.safety.standings() == []
    world.transfer(asked(world, 11))
    assert State.HALTED in (state(world), state(world, "zksync"))
    assert world.chain.broadcasts == []


def no_balance(world: World, lies: bool) -> None:
    world.chain.endowment = 0 if lies else 2 * ETH


def old_block(world: World, lies: bool) -> None:
    world.lag = {"L1": 10**6 if lies else 1}


@pytest.mark.parametrize("lie", [no_balance, old_block])
def test_a_reading_of_one_moment_throttles_and_halts_nothing(
    world: World, lie: Callable[[World, bool], None]
) -> None:
    thresholds(world, min_balance=Wei(ETH), max_lag=300.0)
    lie(world, False)
    assert guarded(world, 5) is State.NORMAL
    lie(world, True)
    assert guarded(world, 5) is State.THROTTLED
    assert guarded(world, 1) is State.THROTTLED  # nearly the same moment: it proves nothing more
    lie(world, False)
    assert guarded(world, 20) is State.NORMAL
    lie(world, True)
    assert guarded(world, 5) is State.THROTTLED
    assert guarded(world, 5) is State.HALTED


def guarded(world: World, seconds: float) -> State:
    world.later(seconds)
    steps.guard(world.bridge, world.run)
    return state(world)


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def test_the_only_node_of_l1_answers_nothing_for_a_moment(
    chains: Devnet, database_url: str
) -> None:
    def nothing(params: Any, result: Any) -> Any:
        return "0x" if params[0]["to"].lower() == chains.deployment.l1.registry.lower() else result

    with ExitStack() as stack:
        node = stack.enter_context(Liar(chains.deployment.l1.rpc_url))
        scene = stack.enter_context(played(chains, database_url, l1_urls=[node.url]))
        scene.stage.set_orders(2)
        scene.detect()
        node.lies["eth_call"] = nothing
        scene.transfer()
        assert not any(order.failed for order in scene.orders())
        del node.lies["eth_call"]
        scene.passed += timedelta(seconds=10)
        scene.transfer()
        scene.settle()
        assert set(scene.payments().values()) == {1}
        assert scene.bridge.safety.standings() == []
        node.lies["eth_call"] = nothing
        scene.stage.set_orders(1)
        scene.detect()
        for _ in range(2):
            scene.transfer()
            scene.passed += timedelta(seconds=10)
        (standing,) = scene.bridge.safety.standings()
        assert standing.why.startswith("RegistryDisagrees: ")
