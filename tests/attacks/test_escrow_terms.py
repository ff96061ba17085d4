"""The escrow's owner makes it pay or obey somebody else: one halt, and no order is parked."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from mmbot_pipelines.adapters.origins import zksync_escrow as abi
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.escrow_faults import EscrowNotOurs
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.safety import State, of
from mmbot_pipelines.devnet.artifacts import send
from tests.attacks.liar import Liar
from tests.attacks.test_claims_elsewhere import fresh, stage
from tests.bridge.guarding import state, why
from tests.bridge.world import World
from tests.chain.scene import Scene, played
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_stage import StarknetStage

__all__ = ["fresh", "stage"]  # fixtures

UNPAID = [Status.PENDING, Status.PROCESSING]


def tick(world: World) -> None:
    """Ask for runs of every origin and do them, a minute after the last time."""
    world.later(60)
    for origin in world.bridge.origins:
        world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, origin)])
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()


def test_an_escrow_that_pays_another_wallet_is_one_halt_of_its_origin_alone() -> None:
    world = World(more_origins=("starknet",))
    keys = world.set_and_detect(12)
    world.others["starknet"].set_order()
    (other,) = steps.detect(world.bridge, "starknet", world.run)
    world.l2.pays_us = False
    for _ in range(5):
        tick(world)
    orders = [world.order(key) for key in keys]
    assert {(o.failed, o.failures) for o in orders} == {(False, 0)}
    assert state(world, "zksync") is State.HALTED
    assert (state(world), state(world, "starknet")) == (State.NORMAL, State.NORMAL)
    assert why(world, "zksync").startswith("EscrowNotOurs: ")
    assert world.order(other).status is Status.PROVED
    assert [world.paid(key) for key in keys] == [0] * 12
    world.l2.pays_us = True
    guard.resume(world.bridge, "zksync", by="Ann", reason="its owner has set us again")
    tick(world)
    assert [world.paid(key) for key in keys] == [1] * 12


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def another_wallet(params: Any, result: Any) -> Any:
    asks = params[0]["data"].startswith("0x" + abi.WALLET.selector.hex())
    return "0x" + "00" * 12 + "66" * 20 if asks else result


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_liar_of_three_about_the_wallet_halts_nothing(
    chains: Devnet, database_url: str, place: int
) -> None:
    url = chains.deployment.zksync.rpc_url
    with ExitStack() as stack:
        lies: list[Any] = [{}, {}, {}]
        lies[place] = {"eth_call": another_wallet}
        nodes = [stack.enter_context(Liar(url, **told)) for told in lies]
        scene = stack.enter_context(
            played(
                chains,
                database_url,
                l1_urls=[chains.deployment.l1.rpc_url] * 2,
                l2_urls=[node.url for node in nodes],
                quorum=2,
            )
        )
        orders = scene.stage.set_orders(2)
        scene.detect()
        scene.transfer()
        scene.settle()
        assert scene.failed == []
        assert _halted(scene) == []
        assert scene.payments() == {order.number: 1 for order in orders}


def test_a_true_change_of_zksyncs_escrow_halts_and_parks_nobody(
    chains: Devnet, database_url: str
) -> None:
    with played(chains, database_url) as scene:
        scene.stage.set_orders(3)
        scene.detect()
        scene.stage.pay_elsewhere()
        scene.finish(rounds=2)
        assert scene.payments() == {}
        assert not any(order.failed for order in scene.orders())
        assert _halted(scene) == ["zksync"]
        deployed = chains.deployment.zksync
        set_wallet = scene.stage.devnet.escrow.functions.set_mm_zksync_wallet
        send(set_wallet(deployed.wallet), sender=deployed.owner)
        guard.resume(scene.bridge, "zksync", by="Ann", reason="it pays us again")
        scene.finish(rounds=1)
        assert set(scene.payments().values()) == {1}


def test_a_true_change_of_starknets_escrow_halts_and_parks_nobody(stage: StarknetStage) -> None:
    way = Way(stage, stage.origin)
    keys = way.found(3)
    stage.pay_elsewhere()
    for _ in range(2):
        steps.transfer(way.bridge, keys, way.run)
        way.now += timedelta(minutes=1)
    assert way.store.outbox == []
    assert {(o.failed, o.failures) for o in way.store.get(keys)} == {(False, 0)}
    assert of(way.store.safety.standings(), "starknet").why.startswith("EscrowNotOurs: ")
    assert EscrowNotOurs.of_origin


def _halted(scene: Scene) -> list[str]:
    standings = scene.bridge.safety.standings()
    return [s.scope for s in standings if s.state is State.HALTED]
