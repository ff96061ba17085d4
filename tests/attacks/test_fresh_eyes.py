"""What a second look found: pauses, refusals on chain, wrong chains, and silent waiting."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused, WrongChain
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Block, TxState
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.adapters.rpc.fake_node import FakeNode, fake_node, rpc
from tests.bridge.guard_steps import state, why
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import ends

STRANGER = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
UNPAID = [Status.PENDING, Status.PROCESSING]
PAUSED = "waiting: the escrow is paused, its owner must resume it"
NOT_OURS = "waiting: the registry does not take our wallet as its market maker"


def tick(harness: BridgeHarness) -> None:
    """Do what sensors and schedules ask for, a minute after the last time."""
    harness.later(60)
    harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()


def test_orders_of_a_paused_escrow_wait_and_are_paid_when_it_is_resumed(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(12)
    harness.l2.paused = True
    for _ in range(10):
        tick(harness)
    orders = [harness.order(key) for key in keys]
    assert {(o.failed, o.failures, o.reason) for o in orders} == {(False, 0, PAUSED)}
    assert (harness.chain.broadcasts, state(harness)) == ([], State.NORMAL)
    harness.l2.paused = False
    tick(harness)
    assert [harness.paid(key) for key in keys] == [1] * 12


@pytest.mark.parametrize("step", ["transfer", "repay"])
def test_a_mined_refusal_of_our_wallet_is_one_halt_and_the_order_stays_healthy(
    harness: BridgeHarness, step: str
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    if step == "repay":
        harness.mine()
        harness.repay([key])
    harness.registry.market_maker = STRANGER  # after it was signed
    harness.mine()
    order = harness.order(key)
    assert ends(harness, key)[-1] == (step, 0, TxState.REVERTED)
    assert (order.failed, order.failures, order.reason) == (False, 0, NOT_OURS)
    assert harness.store.errors.of(key) == []
    assert state(harness) is State.HALTED
    assert why(harness).startswith("NotMarketMaker: ")
    harness.registry.market_maker = harness.chain.wallet
    guard.resume(harness.bridge, GLOBAL, by="Ann", reason="the owner has set us again")
    tick(harness)
    tick(harness)
    assert harness.paid(key) == 1
    assert harness.order(key).status is Status.PROVED


@pytest.mark.parametrize("fault", [Malformed("owner: 0 bytes of data"), RpcRefused("no")])
def test_a_registry_that_does_not_report_whom_it_takes_holds_no_other_receipt_up(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch, fault: Failure
) -> None:
    refused, other = harness.set_and_detect(2)
    call = harness.registry.transfer(harness.order(refused))
    harness.transfer([refused, other])
    harness.chain.refuse(lambda c: c == call, "Only Owner or MM can call this function")

    def accepts(_: Sequence[Address]) -> list[bool]:
        raise fault

    monkeypatch.setattr(harness.registry, "accepts", accepts)
    harness.mine()
    assert harness.order(refused).failures == 1
    assert (harness.order(other).status, state(harness)) == (Status.FULFILLED, State.NORMAL)


def test_a_node_without_the_recipients_code_holds_no_other_receipt_up(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, other = harness.set_and_detect(2)
    call = harness.registry.transfer(harness.order(odd))
    harness.transfer([odd, other])
    harness.chain.refuse(lambda c: c == call, "reverted without a reason")

    def has_code(_account: Address, _block: int) -> bool:
        raise RpcRefused("missing trie node")

    monkeypatch.setattr(harness.chain, "has_code", has_code)
    harness.mine()
    assert harness.order(odd).is_parked
    assert harness.order(other).status is Status.FULFILLED


@pytest.mark.parametrize("fault", [WrongChain("node serves chain 5"), RpcRefused("unauthorized")])
def test_one_origins_wrong_node_stops_no_claim_of_another_origin(
    monkeypatch: pytest.MonkeyPatch, fault: Failure
) -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    (ours,) = harness.set_and_detect()
    harness.others["starknet"].set_order()
    (theirs,) = steps.detect(harness.bridge, "starknet", harness.run)
    harness.transfer([ours, theirs])
    harness.mine()

    def head(_: Cursor) -> Block:
        raise fault

    monkeypatch.setattr(harness.others["starknet"], "head", head)
    monkeypatch.setattr(harness.others["starknet"], "fault", fault)
    asked = [o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])]
    assert type(fault).__name__ in harness.failing(lambda: harness.repay(asked))
    harness.mine()
    assert harness.order(ours).status is Status.PROVED
    assert type(fault).__name__ in str(harness.order(theirs).reason)


def test_what_was_dropped_does_not_fail_with_its_neighbours(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.rules(wait_for_price_seconds=3600)
    harness.chain.base_fee *= 1000
    (costly,) = harness.set_and_detect()
    tick(harness)
    harness.later(3600)
    (good,) = harness.set_and_detect(fee=10**18)

    def check(_: object) -> list[Failure | None]:
        raise RpcRefused("no such method")

    monkeypatch.setattr(harness.l2, "check", check)
    harness.failing(lambda: harness.transfer([costly, good]))
    assert (harness.order(costly).status, harness.order(costly).failed) == (Status.DROPPED, False)
    assert (harness.order(good).status, harness.order(good).failed) == (Status.PROCESSING, True)


@pytest.mark.parametrize("weather", ["prices", "paused"])
def test_paid_orders_that_wait_for_long_are_one_alert(harness: BridgeHarness, weather: str) -> None:
    keys = harness.set_and_detect(3, amount=10**15, fee=8 * 10**14)
    harness.transfer(keys)
    harness.mine()
    if weather == "paused":
        harness.l2.paused = True
    else:
        harness.chain.base_fee *= 1000
    for _ in range(61):
        tick(harness)
    (alert,) = harness.alerts().alerts
    assert alert.key == "claims-overdue"
    assert "(5400000000000000 wei) are owed to us for 3 of them" in alert.text
    assert str(harness.order(keys[0]).reason) in alert.text
    assert {harness.order(key).failures for key in keys} == {0}


def test_no_claim_is_sent_to_an_escrow_that_pays_another_wallet_now(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.l2.pays_us = False
    for _ in range(3):
        tick(harness)
    assert [purpose for purpose, *_ in ends(harness, key)] == ["transfer"]
    assert not harness.order(key).failed
    assert state(harness, "zksync") is State.HALTED
    harness.l2.pays_us = True
    tick(harness)
    assert harness.order(key).status is Status.PROVED


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
        (2, (NEW, OLD, OLD), False),  # the best node reports it, as before
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
    lag = datetime.now(UTC) - rpc(*three, quorum=quorum).newest_block()
    assert (lag > timedelta(hours=8)) is stands


def test_the_age_of_a_chain_is_asked_of_one_node(three: list[FakeNode]) -> None:
    asked: list[int] = []
    for number, node in enumerate(three):
        shows(node, NEW)
        block = node.methods["eth_getBlockByNumber"]
        node.methods["eth_getBlockByNumber"] = lambda *given, number=number, block=block: (
            asked.append(number),
            block(*given),
        )[1]
    pool = rpc(*three)
    pool.newest_block()  # the first question looks for the best
    for _ in range(3):
        asked.clear()
        pool.newest_block()
        assert asked == [0]
