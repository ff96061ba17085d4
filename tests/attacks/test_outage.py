"""All L1 nodes are away in the middle of a burst, and come back: real chains, real adapters."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.readings import SafetyThresholds
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from tests.chain.chain_harness import ChainHarness, played
from tests.chaos.faulty_rpc import Fault, FaultyRpc
from tests.devnet.bridge import Devnet, rolled_back, running

BURST = 30
UNPAID = (Status.PENDING, Status.PROCESSING)


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def node(chains: Devnet) -> Iterator[FaultyRpc]:
    with FaultyRpc(chains.deployment.l1.rpc_url) as node:
        yield node


@pytest.fixture
def chain_harness(chains: Devnet, node: FaultyRpc, database_url: str) -> Iterator[ChainHarness]:
    with (
        rolled_back(chains) as devnet,
        played(devnet, database_url, l1_urls=[node.url]) as chain_harness,
    ):
        chain = chain_harness.bridge.chain

        def newest() -> datetime:
            chain.head()
            return datetime.now(UTC) + chain_harness.passed

        chain_harness.bridge = replace(chain_harness.bridge, newest={GLOBAL: newest})
        chain_harness.rules(thresholds=SafetyThresholds(min_balance=Wei(1)))
        yield chain_harness


def asked(chain_harness: ChainHarness) -> list[str]:
    """Do what a sensor does at one look: return the orders that it asks a run for."""
    return [o.key for o in steps.take_orders(chain_harness.bridge, UNPAID, "zksync")]


def test_all_are_sent_at_the_first_looks_after_the_nodes_are_back(
    chain_harness: ChainHarness, node: FaultyRpc
) -> None:
    chain_harness.ports.set_orders(BURST)
    chain_harness.detect()
    keys = asked(chain_harness)
    assert len(keys) == BURST
    node.fail(Fault.DROP)
    chain_harness._do(lambda: steps.transfer(chain_harness.bridge, keys, chain_harness.run))
    for _ in range(10):  # half a minute
        chain_harness.passed += timedelta(seconds=3)
        steps.guard(chain_harness.bridge, chain_harness.run)
        assert asked(chain_harness) == []  # a run would only fail
    assert (
        state_of(chain_harness.bridge.store.safety.scope_states(), GLOBAL).state is State.THROTTLED
    )
    node.fail(Fault.NONE)
    again = asked(chain_harness)  # nobody has measured yet that the node is back
    assert len(again) == BURST
    steps.transfer(chain_harness.bridge, again, chain_harness.run)
    assert {o.status for o in chain_harness.orders()} == {Status.TRANSFERRING}
    assert steps.guard(chain_harness.bridge, chain_harness.run) == []
    chain_harness.settle()
    assert {o.status for o in chain_harness.orders()} == {Status.FULFILLED}


def test_a_run_that_met_the_end_of_the_outage_is_asked_for_again_at_once(
    chain_harness: ChainHarness, node: FaultyRpc
) -> None:
    chain_harness.ports.set_orders(BURST)
    chain_harness.detect()
    keys = asked(chain_harness)
    node.fail(Fault.DROP)
    chain_harness._do(lambda: steps.transfer(chain_harness.bridge, keys, chain_harness.run))
    node.fail(Fault.NONE)
    assert asked(chain_harness) == []  # a node that comes and goes starts no run at every look
    chain_harness.passed += timedelta(seconds=2)
    assert len(asked(chain_harness)) == BURST
