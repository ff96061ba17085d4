"""All L1 nodes are away in the middle of a burst, and come back: real chains, real adapters."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.readings import Thresholds
from mmbot_pipelines.core.safety import GLOBAL, State, of
from tests.chain.scene import Scene, played
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
def scene(chains: Devnet, node: FaultyRpc, database_url: str) -> Iterator[Scene]:
    with (
        rolled_back(chains) as devnet,
        played(devnet, database_url, l1_urls=[node.url]) as scene,
    ):
        chain = scene.bridge.chain

        def newest() -> datetime:
            chain.head()
            return datetime.now(UTC) + scene.passed

        scene.bridge = replace(scene.bridge, newest={GLOBAL: newest})
        scene.rules(thresholds=Thresholds(min_balance=Wei(1)))
        yield scene


def asked(scene: Scene) -> list[str]:
    """Do what a sensor does at one look: return the orders that it asks a run for."""
    return [o.key for o in steps.wanted(scene.bridge, UNPAID, "zksync")]


def test_all_are_sent_at_the_first_looks_after_the_nodes_are_back(
    scene: Scene, node: FaultyRpc
) -> None:
    scene.stage.set_orders(BURST)
    scene.detect()
    keys = asked(scene)
    assert len(keys) == BURST
    node.fail(Fault.DROP)
    scene._do(lambda: steps.transfer(scene.bridge, keys, scene.run))
    for _ in range(10):  # half a minute
        scene.passed += timedelta(seconds=3)
        steps.guard(scene.bridge, scene.run)
        assert asked(scene) == []  # a run would only fail
    assert of(scene.bridge.safety.standings(), GLOBAL).state is State.THROTTLED
    node.fail(Fault.NONE)
    again = asked(scene)  # nobody has measured yet that the node is back
    assert len(again) == BURST
    steps.transfer(scene.bridge, again, scene.run)
    assert {o.status for o in scene.orders()} == {Status.TRANSFERRING}
    assert steps.guard(scene.bridge, scene.run) == []
    scene.settle()
    assert {o.status for o in scene.orders()} == {Status.FULFILLED}


def test_a_run_that_met_the_end_of_the_outage_is_asked_for_again_at_once(
    scene: Scene, node: FaultyRpc
) -> None:
    scene.stage.set_orders(BURST)
    scene.detect()
    keys = asked(scene)
    node.fail(Fault.DROP)
    scene._do(lambda: steps.transfer(scene.bridge, keys, scene.run))
    node.fail(Fault.NONE)
    assert asked(scene) == []  # a node that comes and goes starts no run at every look
    scene.passed += timedelta(seconds=2)
    assert len(asked(scene)) == BURST
