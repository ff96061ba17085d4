"""Transactions that misbehave, and chains that take back, on anvil."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.devnet.chain import ask
from tests.chain.lane import Lane
from tests.devnet.bridge import running
from tests.ports.origin_memory import RECIPIENT
from tests.ports.stages import on_anvil

MINED, REPLACED = TxState.MINED, TxState.REPLACED


@pytest.fixture
def lane(database_url: str) -> Iterator[Lane]:
    """Chains for one test: anvil takes neither base fees nor reorgs back."""
    engine = connect(database_url)
    with running() as devnet, on_anvil(devnet) as stage:
        yield Lane(stage, engine)
    engine.dispose()


def transferring(lane: Lane, count: int = 1, **order: int) -> list[str]:
    keys = lane.find(count, **order)
    lane.transfer(keys)
    assert {lane.order(key).status for key in keys} == {Status.TRANSFERRING}
    return keys


def proved(lane: Lane) -> str:
    (key,) = transferring(lane)
    lane.mine()
    lane.repay([key])
    lane.mine()
    assert lane.order(key).status is Status.PROVED
    return key


def test_a_burst_follows_the_base_fee_at_its_nonces(lane: Lane) -> None:
    keys = transferring(lane, 5, fee=10**17)
    first = [lane.store.transactions(key)[0].nonce for key in keys]
    lane.base_fee(20)
    lane.mine()
    assert {lane.order(key).status for key in keys} == {Status.TRANSFERRING}
    lane.replace_stuck()
    lane.mine()
    assert {lane.order(key).status for key in keys} == {Status.FULFILLED}
    for key, nonce in zip(keys, first, strict=True):
        assert lane.ends(key) == [("transfer", REPLACED), ("transfer", MINED)]
        assert {t.nonce for t in lane.store.transactions(key)} == {nonce}
        assert lane.order(key).transfer_tx == lane.store.transactions(key)[1].hash
        assert lane.paid(key) == 1


def test_the_pool_takes_every_replacement(lane: Lane) -> None:
    (key,) = transferring(lane, fee=10**17)
    for bump in range(1, 6):
        lane.replace_stuck(after=61)
        newest = lane.store.transactions(key)[-1]
        assert newest.bump == bump
        assert lane.stage.chain.knows([newest.hash]) == [True]
    assert lane.store.errors(key) == []
    lane.mine()
    assert lane.ends(key) == [("transfer", REPLACED)] * 5 + [("transfer", MINED)]


def test_what_the_pool_forgot_is_sent_again(lane: Lane) -> None:
    keys = transferring(lane, 3)
    lane.stage.drop(lane.store.transactions(keys[0])[0].hash)
    lane.look()
    lane.mine()
    assert {lane.order(key).status for key in keys} == {Status.FULFILLED}
    assert [len(lane.store.transactions(key)) for key in keys] == [1, 1, 1]


def test_a_transfer_that_costs_too_much_is_cancelled(lane: Lane) -> None:
    before = lane.balance_of(RECIPIENT)
    (key,) = transferring(lane, fee=10**15)
    lane.base_fee(100)
    lane.mine()
    lane.replace_stuck(after=61)
    lane.mine()
    assert lane.ends(key) == [("transfer", REPLACED), ("cancel", MINED)]
    assert (lane.order(key).status, lane.order(key).failed) == (Status.PROCESSING, False)
    assert lane.balance_of(RECIPIENT) == before


def test_a_nonce_that_another_program_took_is_lost(lane: Lane) -> None:
    keys = transferring(lane, 2)
    for key in reversed(keys):
        lane.stage.drop(lane.store.transactions(key)[0].hash)
    lane.elsewhere()
    lane.look()
    first, second = keys
    assert lane.ends(first) == [("transfer", TxState.LOST)]
    assert lane.order(first).status is Status.PROCESSING
    lane.mine()
    assert lane.order(second).status is Status.FULFILLED
    lane.retry()
    lane.mine()
    assert lane.order(first).status is Status.FULFILLED
    assert [lane.paid(key) for key in keys] == [1, 1]


def test_a_nonce_that_another_program_lost_is_filled(lane: Lane) -> None:
    start = lane.stage.chain.nonce(pending=False)
    lane.elsewhere()
    (key,) = transferring(lane)
    lane.stage.reorg_l1(1)
    assert lane.stage.chain.nonce(pending=False) == start
    lane.replace_stuck(after=61)
    lane.mine()
    assert lane.ends(f"nonce:{start}") == [("cancel", MINED)]
    lane.mine()  # the pool had dropped what stood above the gap: it was sent again
    assert lane.order(key).status is Status.FULFILLED


def test_an_empty_wallet_makes_room_for_what_it_can_pay(lane: Lane) -> None:
    (paid,) = transferring(lane)
    lane.mine()
    (poor,) = lane.find(amount=10**17, fee=10**16)
    lane.transfer([poor])
    lane.repay([paid])
    lane.stage.drop(lane.store.transactions(poor)[0].hash)
    ask(lane.stage.devnet.l1, "anvil_setBalance", lane.wallet, hex(5 * 10**16))
    lane.look()
    lane.replace_stuck(after=61)
    lane.look()
    lane.mine()
    assert lane.ends(poor) == [("transfer", REPLACED), ("cancel", MINED)]
    assert lane.order(paid).status is Status.PROVED


def test_l1_takes_a_transfer_back(lane: Lane) -> None:
    before = lane.balance_of(RECIPIENT)
    keys = transferring(lane, 3, amount=10**16)
    lane.mine()
    lane.stage.reorg_l1(1)
    lane.look()
    assert {lane.order(key).status for key in keys} == {Status.TRANSFERRING}
    lane.mine()
    assert {lane.order(key).status for key in keys} == {Status.FULFILLED}
    assert [len(lane.store.transactions(key)) for key in keys] == [1, 1, 1]
    assert lane.balance_of(RECIPIENT) - before == 3 * 10**16


def test_l1_takes_transfer_and_claim_back(lane: Lane) -> None:
    key = proved(lane)
    lane.stage.reorg_l1(2)
    lane.look()
    assert lane.order(key).status is Status.TRANSFERRING
    lane.mine()
    assert lane.order(key).status is Status.PROVED
    assert lane.ends(key) == [("transfer", MINED), ("repay", MINED)]
    assert lane.settle() == [key]
    assert lane.paid(key) == 1


def test_l1_takes_the_claim_of_a_completed_order_back(lane: Lane) -> None:
    key = proved(lane)
    assert lane.settle() == [key]
    lane.stage.reorg_l1(1)
    lane.look()
    assert lane.order(key).status is Status.PROVING
    lane.mine()
    assert lane.settle() == [key]


def test_the_l2_takes_an_order_back_before_it_is_paid(lane: Lane) -> None:
    (key,) = lane.find()
    lane.stage.reorg_l2(1)
    lane.transfer([key])
    order = lane.order(key)
    assert (order.status, order.taken_back) == (Status.DROPPED, True)
    assert lane.store.in_flight() == []


def test_a_number_reused_on_the_l2_is_paid_as_what_it_is_now(lane: Lane) -> None:
    before = lane.balance_of(RECIPIENT)
    (key,) = lane.find(amount=10**16)
    lane.stage.reorg_l2(1)
    assert lane.find(amount=3 * 10**16) == [key]
    for _ in range(2):
        lane.transfer([key])
        lane.mine()
    assert lane.order(key).status is Status.FULFILLED
    assert lane.balance_of(RECIPIENT) - before == 3 * 10**16
    assert "Reorg" in {e.fault.kind for e in lane.store.errors("zksync")}


def test_a_transfer_of_an_order_that_the_l2_took_back_is_cancelled(lane: Lane) -> None:
    before = lane.balance_of(RECIPIENT)
    (key,) = transferring(lane)
    lane.stage.reorg_l2(1)
    lane.detect()
    assert lane.order(key).parked
    lane.replace_stuck()
    lane.mine()
    assert lane.ends(key) == [("transfer", REPLACED), ("cancel", MINED)]
    assert lane.balance_of(RECIPIENT) == before
    lane.retry()
    assert lane.order(key).status is Status.DROPPED


def test_what_was_paid_for_an_order_that_the_l2_took_back_is_told(lane: Lane) -> None:
    (key,) = transferring(lane)
    lane.mine()
    lane.stage.reorg_l2(1)
    lane.detect()
    order = lane.order(key)
    assert (order.status, order.parked) == (Status.FULFILLED, True)
    assert (order.reason or "").startswith("ReorgAfterPayment: ")


def test_a_settlement_taken_back_is_waited_for_again(lane: Lane) -> None:
    key = proved(lane)
    assert lane.settle() == [key]
    lane.detect()
    lane.stage.reorg_l2(1)
    lane.detect()
    assert lane.order(key).status is Status.PROVED
