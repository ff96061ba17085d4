"""The registry refuses our wallet for who it is: one halt, and no order suffers for it."""

from datetime import timedelta

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State, of
from mmbot_pipelines.devnet.artifacts import send
from tests.bridge.guarding import state, why
from tests.bridge.world import World
from tests.chain.lane import Lane

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]
OURS = "waits: the registry does not take our wallet as its market maker"


def half_an_hour(world: World) -> None:
    for _ in range(10):
        world.later(180)
        world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])
        world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
        steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
        steps.guard(world.bridge, world.run)


def test_a_wallet_that_is_no_market_maker_any_more_is_one_halt_and_no_parked_order(
    world: World,
) -> None:
    paid = world.set_and_detect(2)
    world.transfer(paid)
    world.mine()
    keys = world.set_and_detect(12)
    world.registry.market_maker = STRANGER
    half_an_hour(world)
    orders = [world.order(key) for key in (*paid, *keys)]
    assert {(o.failed, o.failures) for o in orders} == {(False, 0)}
    assert all(world.store.errors(o.key) == [] for o in orders)
    assert {world.order(key).reason for key in paid} == {OURS}
    assert state(world) is State.HALTED
    assert f"have the owner call setMMAddress({world.chain.wallet})" in why(world)
    assert [c.after for c in world.safety.changes(9)] == [State.HALTED]
    world.registry.market_maker = world.chain.wallet
    guard.resume(world.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    world.transfer(keys)
    world.repay(paid)
    world.mine()
    assert [world.paid(key) for key in keys] == [1] * 12
    assert {world.order(key).status for key in paid} == {Status.PROVED}


@pytest.mark.parametrize(
    "words", ["Only Owner or MM can call this function", "custom error 0x118cdaa7"]
)
def test_a_stranger_who_says_the_same_words_halts_nobody(world: World, words: str) -> None:
    victim, other = world.set_and_detect(2)
    call = world.registry.transfer(world.order(victim))
    world.chain.refuse(lambda c: c == call, words)
    assert "RevertForeseen" in world.failing(lambda: world.transfer([victim, other]))
    world.mine()
    assert (world.order(victim).parked, world.paid(other)) == (True, 1)
    assert state(world) is State.NORMAL


def test_the_deployed_words_are_understood(lane: Lane) -> None:
    (paid,) = lane.find(1)
    lane.transfer([paid])
    lane.mine()
    (unpaid,) = lane.find(1)
    _set_market_maker(lane, STRANGER)
    for _ in range(2):
        lane.repay([paid])
        lane.now += timedelta(seconds=10)
    assert of(lane.bridge.safety.standings(), GLOBAL).state is State.HALTED
    guard.resume(lane.bridge, GLOBAL, by="Ann", reason="to see the transfer refused, too")
    for _ in range(2):
        lane.transfer([unpaid])
        lane.now += timedelta(seconds=10)
    assert of(lane.bridge.safety.standings(), GLOBAL).state is State.HALTED
    assert [lane.order(key).reason for key in (paid, unpaid)] == [OURS, OURS]
    assert [lane.order(key).failed for key in (paid, unpaid)] == [False, False]
    _set_market_maker(lane, lane.wallet)
    guard.resume(lane.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    lane.repay([paid])
    lane.transfer([unpaid])
    lane.mine()
    assert [str(lane.order(key).status) for key in (paid, unpaid)] == ["PROVED", "FULFILLED"]


def _set_market_maker(lane: Lane, wallet: Address) -> None:
    devnet = lane.stage.devnet
    send(devnet.registry.functions.setMMAddress(wallet), sender=devnet.deployment.l1.owner)
    lane.stage.mine()
