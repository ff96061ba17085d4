"""One answer of a moment that would halt: a person is not needed where it was wrong."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.safety import State
from tests.attacks.liar import Liar
from tests.attacks.test_registry_version import AnotherRegistry
from tests.bridge.guard_steps import state, thresholds
from tests.bridge.harness import BridgeHarness
from tests.chain.chain_harness import played
from tests.devnet.bridge import Devnet, running
from tests.ports.chain_memory import ETH

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]


def market_maker(harness: BridgeHarness, lies: bool) -> None:
    harness.registry.market_maker = STRANGER if lies else harness.chain.wallet


def escrow(harness: BridgeHarness, lies: bool) -> None:
    harness.l2.pays_us = not lies


def registry(harness: BridgeHarness, lies: bool) -> None:
    other = AnotherRegistry(harness.chain)
    other.odd = lies
    harness.registry = harness.l2.registry = other
    harness.bridge = replace(harness.bridge, registry=other)


LIES = [market_maker, escrow, registry]


def asked(harness: BridgeHarness, seconds: float) -> list[str]:
    harness.later(seconds)
    return [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")]


@pytest.mark.parametrize("lie", LIES)
def test_what_is_right_again_seconds_later_halts_nothing(
    harness: BridgeHarness, lie: Callable[[BridgeHarness, bool], None]
) -> None:
    keys = harness.set_and_detect(3)
    lie(harness, True)
    harness.transfer(asked(harness, 0))
    assert {harness.order(key).failed for key in keys} == {False}
    assert harness.chain.broadcasts == []
    lie(harness, False)
    harness.transfer(asked(harness, 11))  # it is looked at again soon
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * 3
    assert harness.store.safety.scope_states() == []


@pytest.mark.parametrize("lie", LIES)
def test_what_is_so_seconds_later_too_halts(
    harness: BridgeHarness, lie: Callable[[BridgeHarness, bool], None]
) -> None:
    keys = harness.set_and_detect(3)
    lie(harness, True)
    harness.transfer(keys)
    harness.transfer(keys)  # in the same moment: it proves nothing more
    assert harness.store.safety.scope_states() == []
    harness.transfer(asked(harness, 11))
    assert State.HALTED in (state(harness), state(harness, "zksync"))
    assert harness.chain.broadcasts == []


def no_balance(harness: BridgeHarness, lies: bool) -> None:
    harness.chain.endowment = 0 if lies else 2 * ETH


def old_block(harness: BridgeHarness, lies: bool) -> None:
    harness.lag = {"L1": 10**6 if lies else 1}


@pytest.mark.parametrize("lie", [no_balance, old_block])
def test_a_reading_of_one_moment_throttles_and_halts_nothing(
    harness: BridgeHarness, lie: Callable[[BridgeHarness, bool], None]
) -> None:
    thresholds(harness, min_balance=Wei(ETH), max_lag=300.0)
    lie(harness, False)
    assert guarded(harness, 5) is State.NORMAL
    lie(harness, True)
    assert guarded(harness, 5) is State.THROTTLED
    assert guarded(harness, 1) is State.THROTTLED  # nearly the same moment: it proves nothing more
    lie(harness, False)
    assert guarded(harness, 20) is State.NORMAL
    lie(harness, True)
    assert guarded(harness, 5) is State.THROTTLED
    assert guarded(harness, 5) is State.HALTED


def guarded(harness: BridgeHarness, seconds: float) -> State:
    harness.later(seconds)
    steps.guard(harness.bridge, harness.run)
    return state(harness)


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
        chain_harness = stack.enter_context(played(chains, database_url, l1_urls=[node.url]))
        chain_harness.ports.set_orders(2)
        chain_harness.detect()
        node.lies["eth_call"] = nothing
        chain_harness.transfer()
        assert not any(order.failed for order in chain_harness.orders())
        del node.lies["eth_call"]
        chain_harness.passed += timedelta(seconds=10)
        chain_harness.transfer()
        chain_harness.settle()
        assert set(chain_harness.payments().values()) == {1}
        assert chain_harness.bridge.store.safety.scope_states() == []
        node.lies["eth_call"] = nothing
        chain_harness.ports.set_orders(1)
        chain_harness.detect()
        for _ in range(2):
            chain_harness.transfer()
            chain_harness.passed += timedelta(seconds=10)
        (scope_state,) = chain_harness.bridge.store.safety.scope_states()
        assert scope_state.why.startswith("RegistryAbiMismatch: ")
