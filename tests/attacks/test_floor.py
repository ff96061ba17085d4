"""A wallet under its floor: our own spending is no fault, what somebody else took is one."""

from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call
from mmbot_pipelines.core.safety import GLOBAL, State, of
from mmbot_pipelines.devnet.chain import ask
from tests.bridge.guarding import state, thresholds, why
from tests.bridge.world import World
from tests.chain.lane import Lane
from tests.ports.chain_memory import ETH

THIEF = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")


def look(world: World) -> State:
    world.later(5)
    steps.guard(world.bridge, world.run)
    return state(world)


def test_claims_that_bring_the_wallet_under_its_floor_halt_nobody(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = ETH + 31 * 10**15
    keys = world.set_and_detect(2)
    assert look(world) is State.NORMAL
    world.transfer(keys)
    assert look(world) is State.NORMAL
    world.chain.mine()
    assert look(world) is State.NORMAL  # mined, and nobody has read the receipts
    world.look()
    world.chain.base_fee *= 60
    world.repay(keys)
    world.mine()
    assert world.chain.balance() < ETH
    assert look(world) is State.NORMAL
    assert {world.order(key).status for key in keys} == {Status.PROVED}


def test_a_refill_and_spending_between_two_looks_are_explained(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = ETH + 10**16
    assert look(world) is State.NORMAL
    world.chain.endowment += 10**17
    world.transfer(world.set_and_detect(3))
    world.mine()
    assert look(world) is State.NORMAL


def test_a_thief_under_the_floor_halts_everything_until_a_person_resumes(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = 2 * ETH
    world.transfer(world.set_and_detect())
    world.mine()
    assert look(world) is State.NORMAL
    world.chain.elsewhere(Call(to=THIEF, data=b"", value=Wei(19 * 10**17)))
    assert [look(world), look(world)] == [State.THROTTLED, State.HALTED]
    assert "left the wallet by no transaction of ours" in why(world)
    guard.resume(world.bridge, GLOBAL, by="Ann", reason="it was me")
    assert look(world) is State.NORMAL
    world.chain.elsewhere(Call(to=THIEF, data=b"", value=Wei(1)))
    assert [look(world), look(world)] == [State.THROTTLED, State.HALTED]


def test_what_was_taken_while_the_bot_was_down_halts_at_the_first_looks(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = 2 * ETH
    assert look(world) is State.NORMAL
    world.later(10**6)
    world.chain.endowment = ETH // 2
    assert [look(world), look(world)] == [State.THROTTLED, State.HALTED]


def test_our_newest_transaction_in_another_block_at_a_higher_price_is_no_theft(
    lane: Lane,
) -> None:
    l1 = lane.stage.devnet.l1
    lane.bridge = _with_floor(lane, Wei(10**30))  # whatever the wallet has is under it
    guard.guard(lane.bridge, lane.run)
    keys = lane.find(1, fee=10**17)
    lane.bridge = _with_floor(lane, Wei(0))
    lane.transfer(keys)
    lane.mine()
    lane.bridge = _with_floor(lane, Wei(10**30))
    assert _judged(lane) is State.NORMAL
    before = lane.stage.chain.account()
    (row,) = lane.store.transactions(keys[0])
    ask(l1, "anvil_reorg", 1, [])
    base_fee = l1.eth.get_block("latest")["baseFeePerGas"]
    ask(l1, "anvil_setNextBlockBaseFeePerGas", hex(base_fee * 3 // 2))
    assert lane.stage.chain.broadcast([row.raw]) == [None]
    lane.stage.mine()
    after = lane.stage.chain.account()
    assert (after.nonce, after.balance < before.balance) == (before.nonce, True)
    assert _judged(lane) is State.NORMAL
    lane.elsewhere()
    assert _judged(lane) is State.HALTED


def test_on_a_chain_spending_is_explained_to_the_wei_and_theft_is_not(lane: Lane) -> None:
    lane.bridge = _with_floor(lane, Wei(10**30))  # whatever the wallet has is under it
    guard.guard(lane.bridge, lane.run)
    keys = lane.find(2, fee=10**17)
    lane.bridge = _with_floor(lane, Wei(0))
    lane.transfer(keys)
    lane.mine()
    lane.repay(keys)
    lane.mine()
    lane.bridge = _with_floor(lane, Wei(10**30))
    assert _judged(lane) is State.NORMAL
    lane.elsewhere()  # one wei and its gas, with the wallet's own key
    assert _judged(lane) is State.HALTED


def _judged(lane: Lane) -> State:
    """Return what the second look says: the first one proves nothing yet."""
    for _ in range(2):
        lane.now += timedelta(seconds=5)
        guard.guard(lane.bridge, lane.run)
    return of(lane.bridge.safety.standings(), GLOBAL).state


def _with_floor(lane: Lane, floor: Wei) -> steps.Bridge:
    rules = lane.bridge.rules
    limits = replace(rules.thresholds, min_balance=floor)
    return replace(lane.bridge, rules=replace(rules, thresholds=limits))
