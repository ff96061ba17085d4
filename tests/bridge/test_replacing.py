"""Transactions that misbehave: what is done about them, at their own nonce."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, Transaction, TxState
from mmbot_pipelines.core.safety import GLOBAL, halt
from tests.bridge.world import World
from tests.ports.chain_memory import ETH, WALLET

GWEI = 10**9


def rows(world: World, key: str) -> list[Transaction]:
    return world.store.transactions(key)


def ends(world: World, key: str) -> list[tuple[str, int, TxState]]:
    return [(t.purpose, t.bump, t.state) for t in rows(world, key)]


def transferring(world: World, count: int = 1, **order: object) -> list[str]:
    keys = world.set_and_detect(count, **order)
    world.transfer(keys)
    assert set(world.statuses().values()) == {Status.TRANSFERRING}
    return keys


def test_what_is_young_and_can_be_mined_is_left_alone(world: World) -> None:
    transferring(world)
    world.later(60)
    assert steps.stuck(world.bridge) == []
    steps.replace_stuck(world.bridge, world.run)
    assert len(world.store.in_flight()) == 1


def test_a_rising_base_fee_is_followed_at_the_same_nonce(world: World) -> None:
    (key,) = transferring(world)
    world.chain.base_fee = 5 * GWEI
    world.mine()
    assert world.order(key).status is Status.TRANSFERRING
    world.replace_stuck()
    world.mine()
    first, second = rows(world, key)
    assert (first.nonce, first.state) == (second.nonce, TxState.REPLACED)
    assert (second.bump, second.state, second.attempt) == (1, TxState.MINED, first.attempt)
    order = world.order(key)
    assert (order.status, order.transfer_tx) == (Status.FULFILLED, second.hash)
    assert world.paid(key) == 1
    assert world.store.errors(key) == []


def test_each_replacement_outbids_the_one_before(world: World) -> None:
    (key,) = transferring(world)
    world.chain.most_per_block = 0  # nobody takes it, whatever it offers
    for _ in range(4):
        world.later(61)
        world.replace_stuck()
        world.mine()
    fees = [t.fees for t in rows(world, key)]
    assert len(fees) == 5
    for old, new in pairwise(fees):
        assert 8 * new.ceiling >= 9 * old.ceiling
        assert 8 * new.priority >= 9 * old.priority
    assert list(world.chain.pool) == [0]
    world.chain.most_per_block = None
    world.mine()
    assert world.order(key).transfer_tx == rows(world, key)[-1].hash
    assert [t.state for t in rows(world, key)] == [TxState.REPLACED] * 4 + [TxState.MINED]


def test_an_older_one_may_be_mined_after_all(world: World) -> None:
    (key,) = transferring(world)
    world.later(61)
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.replace_stuck()
    world.chain.broadcast_fault = None
    world.mine()
    assert ends(world, key) == [("transfer", 0, TxState.MINED), ("transfer", 1, TxState.REPLACED)]
    assert world.order(key).transfer_tx == rows(world, key)[0].hash
    world.later(1000)
    world.look()
    assert world.paid(key) == 1


def test_a_whole_burst_is_replaced_and_mined_together(world: World) -> None:
    keys = transferring(world, 20)
    world.chain.base_fee = 4 * GWEI
    world.replace_stuck()
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert [world.paid(key) for key in keys] == [1] * 20
    assert [t.nonce for t in world.chain.executed()] == list(range(20))


def test_only_what_blocks_the_lane_is_replaced(world: World) -> None:
    (first,) = transferring(world)
    world.chain.base_fee = 4 * GWEI
    second = world.set_and_detect()[0]
    world.transfer([second])
    world.replace_stuck()
    assert [len(rows(world, key)) for key in (first, second)] == [2, 1]
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}


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
    assert (order.status, order.attempt, order.failed) == (Status.PROCESSING, 2, True)
    assert (order.reason or "").startswith("Cancelled: ")
    assert world.paid(key) == 0
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    assert world.order(key).status is Status.DROPPED  # its fee is too low at these prices
    assert "is below the cost" in (world.order(key).reason or "")


def test_a_cancelled_order_is_paid_when_prices_fall(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.chain.base_fee = 10 * GWEI
    world.later(61)
    world.replace_stuck()
    world.mine()
    world.chain.base_fee = GWEI
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
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


def test_a_claim_is_worth_what_is_owed_and_carries_its_message(world: World) -> None:
    (key,) = transferring(world, fee=8 * 10**14)
    world.mine()
    world.repay([key])
    world.chain.base_fee = 40 * GWEI  # far beyond the margin
    world.replace_stuck()
    _, first, second = rows(world, key)
    assert (second.purpose, second.nonce) == ("repay", first.nonce)
    assert second.call.value > first.call.value  # the message costs more at this price
    world.mine()
    order = world.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVED, second.hash)


def test_a_claim_that_costs_more_than_is_owed_waits(world: World) -> None:
    (key,) = transferring(world, amount=10**12, fee=8 * 10**14)
    world.mine()
    world.repay([key])
    world.chain.base_fee = 400 * GWEI
    world.later(61)
    world.replace_stuck()
    assert len(rows(world, key)) == 2
    assert world.said[-1].endswith("nonce 1 waits, no fee that may be paid helps")
    world.chain.base_fee = GWEI
    world.mine()
    assert world.order(key).status is Status.PROVED


def unwanted() -> list[tuple[str, Callable[[World], object]]]:
    return [
        ("EscrowPaused", lambda w: setattr(w.l2, "paused", True)),
        ("AlreadyClaimed", lambda w: w.l2.pay(0)),
        ("RevertForeseen", lambda w: w.chain.refuse(lambda c: c.data != b"", "no")),
        ("Cancelled", lambda w: halt(w.safety, GLOBAL, by="ann", reason="x", at=w.now)),
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


def test_a_stuck_claim_is_replaced_while_halted(world: World) -> None:
    (key,) = transferring(world)
    world.mine()
    world.repay([key])
    halt(world.safety, GLOBAL, by="ann", reason="x", at=world.now)
    world.chain.base_fee = 5 * GWEI
    world.mine()
    world.replace_stuck()
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert rows(world, key)[-1].bump == 1


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


def test_death_between_storing_and_sending_a_replacement_loses_nothing(world: World) -> None:
    (key,) = transferring(world)
    world.chain.picky = True
    world.chain.base_fee = 4 * GWEI
    world.chain.pool.clear()
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.replace_stuck()
    world.chain.broadcast_fault = None
    assert world.chain.pool == {}
    world.look()  # the newest is sent again, and only that one
    assert world.chain.pool[0].hash == rows(world, key)[1].hash
    world.mine()
    assert world.order(key).status is Status.FULFILLED


def test_no_second_transfer_is_signed_while_one_is_undecided(world: World) -> None:
    (key,) = transferring(world)
    order = world.order(key)
    bug = order.__class__.cleared(order)
    object.__setattr__(bug, "status", Status.PROCESSING)
    object.__setattr__(bug, "attempt", 9)
    world.store.change(order, bug, run_id="bug", at=world.now)
    world.transfer([key])
    assert len(rows(world, key)) == 1
    assert world.said[-1].endswith("an earlier transfer is undecided, no other is signed")


def test_an_order_named_twice_is_paid_once(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key, key])
    assert len(rows(world, key)) == 1
    assert world.order(key).status is Status.TRANSFERRING


def test_a_dry_run_replaces_nothing(world: World) -> None:
    (key,) = transferring(world)
    world.rules(dry_run=True)
    world.later(61)
    assert steps.stuck(world.bridge) == []
    steps.replace_stuck(world.bridge, world.run)
    assert len(rows(world, key)) == 1


def test_replacements_count_only_once_against_the_funds(world: World) -> None:
    transferring(world, amount=10**17)
    world.chain.base_fee = 4 * GWEI
    world.chain.endowment = ETH // 4
    world.replace_stuck()
    (second,) = world.set_and_detect(amount=10**17)
    world.transfer([second])
    assert world.order(second).status is Status.TRANSFERRING
