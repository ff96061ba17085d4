"""Transfers that are too dear or not wanted any more: how they are taken back."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from mmbot_pipelines.core.safety import GLOBAL, halt
from tests.bridge.transfers import GWEI, ends, rows, transferring
from tests.bridge.world import World
from tests.ports.chain_memory import WALLET


def test_a_replacement_never_costs_more_than_the_margin(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.chain.base_fee = 10 * GWEI
    world.replace_stuck()
    assert len(rows(world, key)) == 1  # young: prices may fall again
    world.later(61)
    world.replace_stuck()
    transfer, cancel = rows(world, key)
    assert (cancel.purpose, cancel.nonce, cancel.bump) == ("cancel", transfer.nonce, 1)
    assert cancel.call == Call(to=WALLET, data=b"", value=Wei(0))
    world.mine()
    assert ends(world, key) == [("transfer", 0, TxState.REPLACED), ("cancel", 1, TxState.MINED)]
    order = world.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.PROCESSING, 2, False)
    assert (order.reason or "").startswith("its transfer was cancelled: ")
    assert world.paid(key) == 0
    world.later(1000)
    world.transfer([key])
    order = world.order(key)
    assert (order.status, order.failed) == (Status.PROCESSING, False)
    assert (order.reason or "").startswith("waiting: its fee does not cover the cost")


def test_a_cancelled_order_is_paid_when_prices_fall(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.chain.base_fee = 10 * GWEI
    world.later(61)
    world.replace_stuck()
    world.mine()
    world.chain.base_fee = GWEI
    world.later(1000)
    world.transfer([o.key for o in steps.wanted(world.bridge, [Status.PROCESSING])])
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    assert world.paid(key) == 1
    assert [t.nonce for t in world.chain.executed()] == [0, 1]


def test_a_transfer_that_wins_against_its_cancellation_counts(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.chain.base_fee = 10 * GWEI
    world.later(61)
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.replace_stuck()
    world.chain.base_fee = GWEI
    world.chain.broadcast_fault = None
    world.mine()
    assert ends(world, key) == [("transfer", 0, TxState.MINED), ("cancel", 1, TxState.REPLACED)]
    assert world.order(key).status is Status.FULFILLED


def unwanted() -> list[tuple[str, Callable[[World], object]]]:
    return [
        ("EscrowPaused", lambda w: setattr(w.l2, "paused", True)),
        ("AlreadyClaimed", lambda w: w.l2.pay(0)),
        ("RevertForeseen", lambda w: w.chain.refuse(lambda c: c.data != b"", "no")),
        ("global is HALTED", lambda w: halt(w.safety, GLOBAL, by="ann", reason="x", at=w.now)),
    ]


@pytest.mark.parametrize(("kind", "change"), unwanted())
def test_a_transfer_that_is_not_wanted_any_more_is_taken_back(
    world: World, kind: str, change: Callable[[World], object]
) -> None:
    (key,) = transferring(world)
    change(world)
    world.later(61)
    world.replace_stuck()
    assert kind in world.said[-1]
    world.mine()
    assert ends(world, key)[-1] == ("cancel", 1, TxState.MINED)
    assert world.order(key).status is Status.PROCESSING
    assert world.paid(key) == 0


@pytest.mark.parametrize("scope", [GLOBAL, "zksync"])
def test_a_halt_between_looking_and_signing_holds(world: World, scope: str) -> None:
    (key,) = transferring(world)
    check = world.l2.check

    def halting_check(orders: list[Order]) -> list[Failure | None]:
        halt(world.safety, scope, by="ann", reason="x", at=world.now)
        return check(orders)

    world.l2.check = halting_check  # type: ignore[method-assign, assignment]
    world.later(61)
    world.replace_stuck()
    assert len(rows(world, key)) == 1
    assert f"nonce 0 is not replaced, {scope} is HALTED" in world.said[-1]
    world.l2.check = check  # type: ignore[method-assign]
    world.replace_stuck()
    assert [t.purpose for t in rows(world, key)] == ["transfer", "cancel"]


def test_an_outage_of_the_origin_takes_nothing_back_at_once(world: World) -> None:
    (key,) = transferring(world)
    world.l2.fault = RpcUnavailable("zksync: no node")
    world.chain.base_fee = 4 * GWEI
    world.replace_stuck()
    assert len(rows(world, key)) == 1
    world.later(61)
    world.replace_stuck()
    assert ends(world, key)[-1] == ("cancel", 1, TxState.STORED)


def test_a_transfer_that_the_wallet_cannot_pay_makes_room_for_claims(world: World) -> None:
    (paid,) = transferring(world)
    world.mine()
    (poor,) = world.set_and_detect(amount=10**17)
    world.transfer([poor])
    world.repay([paid])
    world.chain.drop(rows(world, poor)[0].hash)
    world.chain.endowment -= world.chain.balance() - 10**16  # somebody took the rest
    world.look()
    assert 1 not in world.chain.pool  # no node takes it
    world.later(61)
    world.replace_stuck()
    world.mine()
    assert world.order(poor).status is Status.PROCESSING
    assert world.order(paid).status is Status.PROVED
    assert [t.nonce for t in world.chain.executed()] == [0, 1, 2]
