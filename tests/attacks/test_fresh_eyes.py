"""What a second look found: pauses, refusals on chain, wrong chains, and silent waiting."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmbot_pipelines.adapters.ethereum.age import newest_block
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused, WrongChain
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block, TxState
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.adapters.ethereum.fake_node import FakeNode, fake_node
from tests.adapters.ethereum.faulty_nodes import rpc
from tests.bridge.guarding import state, why
from tests.bridge.transfers import ends
from tests.bridge.world import World
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]
PAUSED = "waiting: the escrow is paused, its owner must resume it"
NOT_OURS = "waits: the registry does not take our wallet as its market maker"
OFF = Thresholds(max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=3600)


def tick(world: World) -> None:
    """Do what sensors and schedules ask for, a minute after the last time."""
    world.later(60)
    world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()


def test_orders_of_a_paused_escrow_wait_and_are_paid_when_it_is_resumed(world: World) -> None:
    keys = world.set_and_detect(12)
    world.l2.paused = True
    for _ in range(10):
        tick(world)
    orders = [world.order(key) for key in keys]
    assert {(o.failed, o.failures, o.reason) for o in orders} == {(False, 0, PAUSED)}
    assert (world.chain.broadcasts, state(world)) == ([], State.NORMAL)
    world.l2.paused = False
    tick(world)
    assert [world.paid(key) for key in keys] == [1] * 12


@pytest.mark.parametrize("step", ["transfer", "repay"])
def test_a_mined_refusal_of_our_wallet_is_one_halt_and_the_order_stays_healthy(
    world: World, step: str
) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    if step == "repay":
        world.mine()
        world.repay([key])
    world.registry.market_maker = STRANGER  # after it was signed
    world.mine()
    order = world.order(key)
    assert ends(world, key)[-1] == (step, 0, TxState.REVERTED)
    assert (order.failed, order.failures, order.reason) == (False, 0, NOT_OURS)
    assert world.store.errors(key) == []
    assert state(world) is State.HALTED
    assert why(world).startswith("NotMarketMaker: ")
    world.registry.market_maker = world.chain.wallet
    guard.resume(world.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    tick(world)
    tick(world)
    assert world.paid(key) == 1
    assert world.order(key).status is Status.PROVED


@pytest.mark.parametrize("fault", [Malformed("owner: 0 bytes of data"), RpcRefused("no")])
def test_a_registry_that_does_not_say_whom_it_takes_holds_no_other_receipt_up(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Failure
) -> None:
    refused, other = world.set_and_detect(2)
    call = world.registry.transfer(world.order(refused))
    world.transfer([refused, other])
    world.chain.refuse(lambda c: c == call, "Only Owner or MM can call this function")

    def takes(_: Address) -> bool:
        raise fault

    monkeypatch.setattr(world.registry, "takes", takes)
    world.mine()
    assert world.order(refused).failures == 1
    assert (world.order(other).status, state(world)) == (Status.FULFILLED, State.NORMAL)


def test_a_node_without_the_recipients_code_holds_no_other_receipt_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, other = world.set_and_detect(2)
    call = world.registry.transfer(world.order(odd))
    world.transfer([odd, other])
    world.chain.refuse(lambda c: c == call, "reverted without a reason")

    def has_code(_account: Address, _block: int) -> bool:
        raise RpcRefused("missing trie node")

    monkeypatch.setattr(world.chain, "has_code", has_code)
    world.mine()
    assert world.order(odd).parked
    assert world.order(other).status is Status.FULFILLED


@pytest.mark.parametrize("fault", [WrongChain("node serves chain 5"), RpcRefused("unauthorized")])
def test_one_origins_wrong_node_stops_no_claim_of_another_origin(
    monkeypatch: pytest.MonkeyPatch, fault: Failure
) -> None:
    world = World(more_origins=("starknet",))
    (ours,) = world.set_and_detect()
    world.others["starknet"].set_order()
    (theirs,) = steps.detect(world.bridge, "starknet", world.run)
    world.transfer([ours, theirs])
    world.mine()

    def head(_: Cursor) -> Block:
        raise fault

    monkeypatch.setattr(world.others["starknet"], "head", head)
    monkeypatch.setattr(world.others["starknet"], "fault", fault)
    asked = [o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])]
    assert type(fault).__name__ in world.failing(lambda: world.repay(asked))
    world.mine()
    assert world.order(ours).status is Status.PROVED
    assert type(fault).__name__ in str(world.order(theirs).reason)


def test_what_was_dropped_does_not_fail_with_its_neighbours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rules(wait_for_price_seconds=3600)
    world.chain.base_fee *= 1000
    (dear,) = world.set_and_detect()
    tick(world)
    world.later(3600)
    (good,) = world.set_and_detect(fee=10**18)

    def check(_: object) -> list[Failure | None]:
        raise RpcRefused("no such method")

    monkeypatch.setattr(world.l2, "check", check)
    world.failing(lambda: world.transfer([dear, good]))
    assert (world.order(dear).status, world.order(dear).failed) == (Status.DROPPED, False)
    assert (world.order(good).status, world.order(good).failed) == (Status.PROCESSING, True)


@pytest.mark.parametrize("weather", ["prices", "paused"])
def test_paid_orders_that_wait_for_long_are_one_alert(world: World, weather: str) -> None:
    keys = world.set_and_detect(3, amount=10**15, fee=8 * 10**14)
    world.transfer(keys)
    world.mine()
    if weather == "paused":
        world.l2.paused = True
    else:
        world.chain.base_fee *= 1000
    for _ in range(61):
        tick(world)
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    (alert,) = picture(facts, OFF).alerts
    assert alert.key == "unclaimed"
    assert "(5400000000000000 wei) are owed to us for 3 of them" in alert.text
    assert str(world.order(keys[0]).reason) in alert.text
    assert {world.order(key).failures for key in keys} == {0}


def test_no_claim_is_sent_to_an_escrow_that_pays_another_wallet_now(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.l2.pays_us = False
    for _ in range(3):
        tick(world)
    assert [purpose for purpose, *_ in ends(world, key)] == ["transfer"]
    assert not world.order(key).failed
    assert state(world, "zksync") is State.HALTED
    world.l2.pays_us = True
    tick(world)
    assert world.order(key).status is Status.PROVED


@pytest.fixture
def three() -> Iterator[list[FakeNode]]:
    with ExitStack() as stack:
        yield [stack.enter_context(fake_node()) for _ in range(3)]


def shows(node: FakeNode, age: timedelta) -> None:
    made = int((datetime.now(UTC) - age).timestamp())

    def block(*_: Any) -> dict[str, str]:
        number = f"0x{1:064x}"
        return {"number": "0x1", "hash": number, "gasLimit": "0x1", "timestamp": hex(made)}

    node.methods |= {"eth_getBlockByNumber": block, "eth_blockNumber": lambda *_: "0x1"}


OLD, NEW = timedelta(hours=9), timedelta(0)


@pytest.mark.parametrize(
    ("quorum", "ages", "stands"),
    [
        (2, (OLD, NEW, NEW), False),
        (2, (NEW, OLD, OLD), False),  # the best node says so, as before
        (2, (OLD, OLD, NEW), True),
        (1, (OLD, OLD, NEW), False),
        (2, (OLD, OLD, OLD), True),
    ],
)
def test_one_node_whose_blocks_are_old_does_not_halt_everything(
    three: list[FakeNode], quorum: int, ages: tuple[timedelta, ...], stands: bool
) -> None:
    for node, age in zip(three, ages, strict=True):
        shows(node, age)
    lag = datetime.now(UTC) - newest_block(rpc(*three, quorum=quorum))
    assert (lag > timedelta(hours=8)) is stands
