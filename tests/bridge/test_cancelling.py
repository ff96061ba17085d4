"""Transfers that became too expensive or unwanted are cancelled."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from mmbot_pipelines.core.safety import GLOBAL, halt
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI, ends, rows, transferring
from tests.ports.chain_memory import WALLET
from tests.ports.store_writes import decided


def test_a_replacement_never_costs_more_than_the_margin(harness: BridgeHarness) -> None:
    (key,) = transferring(harness, fee=8 * 10**14)
    harness.chain.base_fee = 10 * GWEI
    harness.replace_stuck()
    assert len(rows(harness, key)) == 1  # young: prices may fall again
    harness.later(61)
    harness.replace_stuck()
    transfer, cancel = rows(harness, key)
    assert (cancel.purpose, cancel.nonce, cancel.bump) == ("cancel", transfer.nonce, 1)
    assert cancel.call == Call(to=WALLET, data=b"", value=Wei(0))
    harness.mine()
    assert ends(harness, key) == [("transfer", 0, TxState.REPLACED), ("cancel", 1, TxState.MINED)]
    order = harness.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.PROCESSING, 2, False)
    assert (order.reason or "").startswith("its transfer was cancelled: ")
    assert harness.paid(key) == 0
    harness.later(1000)
    harness.transfer([key])
    order = harness.order(key)
    assert (order.status, order.failed) == (Status.PROCESSING, False)
    assert (order.reason or "").startswith("waiting: its fee does not cover the cost")


def test_a_cancelled_order_is_paid_when_prices_fall(harness: BridgeHarness) -> None:
    (key,) = transferring(harness, fee=8 * 10**14)
    harness.chain.base_fee = 10 * GWEI
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    harness.chain.base_fee = GWEI
    harness.later(1000)
    harness.transfer([o.key for o in steps.take_orders(harness.bridge, [Status.PROCESSING])])
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    assert harness.paid(key) == 1
    assert [t.nonce for t in harness.chain.executed()] == [0, 1]


def test_a_transfer_that_wins_against_its_cancellation_counts(harness: BridgeHarness) -> None:
    (key,) = transferring(harness, fee=8 * 10**14)
    harness.chain.base_fee = 10 * GWEI
    harness.later(61)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.replace_stuck()
    harness.chain.base_fee = GWEI
    harness.chain.broadcast_fault = None
    harness.mine()
    assert ends(harness, key) == [("transfer", 0, TxState.MINED), ("cancel", 1, TxState.REPLACED)]
    assert harness.order(key).status is Status.FULFILLED


def unwanted() -> list[tuple[str, Callable[[BridgeHarness], object]]]:
    return [
        ("EscrowPaused", lambda w: setattr(w.l2, "paused", True)),
        ("AlreadyClaimed", lambda w: w.l2.pay(0)),
        ("SimulationReverted", lambda w: w.chain.refuse(lambda c: c.data != b"", "no")),
        (
            "global is HALTED",
            lambda w: decided(halt, w.store, GLOBAL, by="ann", reason="x", at=w.now),
        ),
    ]


def halted(harness: BridgeHarness, scope: str) -> None:
    decided(halt, harness.store, scope, by="ann", reason="x", at=harness.now)


@pytest.mark.parametrize(("kind", "change"), unwanted())
def test_a_transfer_that_is_not_wanted_any_more_is_cancelled(
    harness: BridgeHarness, kind: str, change: Callable[[BridgeHarness], object]
) -> None:
    (key,) = transferring(harness)
    change(harness)
    harness.later(61)
    harness.replace_stuck()
    assert kind in harness.logged[-1]
    harness.mine()
    assert ends(harness, key)[-1] == ("cancel", 1, TxState.MINED)
    assert harness.order(key).status is Status.PROCESSING
    assert harness.paid(key) == 0


@pytest.mark.parametrize("scope", [GLOBAL, "zksync"])
def test_a_halt_between_looking_and_signing_holds(harness: BridgeHarness, scope: str) -> None:
    (key,) = transferring(harness)
    check = harness.l2.check

    def halting_check(orders: list[Order]) -> list[Failure | None]:
        halted(harness, scope)
        return check(orders)

    harness.l2.check = halting_check
    harness.later(61)
    harness.replace_stuck()
    assert len(rows(harness, key)) == 1
    assert f"nonce 0 is not replaced, {scope} is HALTED" in harness.logged[-1]
    harness.l2.check = check
    harness.replace_stuck()
    assert [t.purpose for t in rows(harness, key)] == ["transfer", "cancel"]


def test_an_outage_of_the_origin_takes_nothing_back_at_once(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.l2.fault = RpcUnavailable("zksync: no node")
    harness.chain.base_fee = 4 * GWEI
    harness.replace_stuck()
    assert len(rows(harness, key)) == 1
    harness.later(61)
    harness.replace_stuck()
    assert ends(harness, key)[-1] == ("cancel", 1, TxState.STORED)


def test_a_transfer_that_the_wallet_cannot_pay_makes_room_for_claims(
    harness: BridgeHarness,
) -> None:
    (paid,) = transferring(harness)
    harness.mine()
    (poor,) = harness.set_and_detect(amount=10**17)
    harness.transfer([poor])
    harness.repay([paid])
    harness.chain.drop(rows(harness, poor)[0].hash)
    harness.chain.endowment -= harness.chain.balance() - 10**16  # somebody took the rest
    harness.look()
    assert 1 not in harness.chain.pool  # no node takes it
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    assert harness.order(poor).status is Status.PROCESSING
    assert harness.order(paid).status is Status.PROVED
    assert [t.nonce for t in harness.chain.executed()] == [0, 1, 2]
