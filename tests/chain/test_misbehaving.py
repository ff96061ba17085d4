"""Transactions that misbehave, and chains that take back, on anvil."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.nonces import gap_subject
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.devnet.chain import ask
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import running
from tests.ports.origin_memory import RECIPIENT
from tests.ports.port_harness import on_anvil

MINED, REPLACED = TxState.MINED, TxState.REPLACED


@pytest.fixture
def anvil_bridge(database_url: str) -> Iterator[AnvilBridge]:
    """Chains for one test: anvil takes neither base fees nor reorgs back."""
    engine = connect(database_url)
    with running() as devnet, on_anvil(devnet) as ports:
        yield AnvilBridge(ports, engine)
    engine.dispose()


def transferring(anvil_bridge: AnvilBridge, count: int = 1, **order: int) -> list[str]:
    keys = anvil_bridge.find(count, **order)
    anvil_bridge.transfer(keys)
    assert {anvil_bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    return keys


def proved(anvil_bridge: AnvilBridge) -> str:
    (key,) = transferring(anvil_bridge)
    anvil_bridge.mine()
    anvil_bridge.repay([key])
    anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.PROVED
    return key


def test_a_burst_follows_the_base_fee_at_its_nonces(anvil_bridge: AnvilBridge) -> None:
    keys = transferring(anvil_bridge, 5, fee=10**17)
    first = [anvil_bridge.store.outbox.of(key)[0].nonce for key in keys]
    anvil_bridge.base_fee(20)
    anvil_bridge.mine()
    assert {anvil_bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    anvil_bridge.replace_stuck()
    anvil_bridge.mine()
    assert {anvil_bridge.order(key).status for key in keys} == {Status.FULFILLED}
    for key, nonce in zip(keys, first, strict=True):
        assert anvil_bridge.ends(key) == [("transfer", REPLACED), ("transfer", MINED)]
        assert {t.nonce for t in anvil_bridge.store.outbox.of(key)} == {nonce}
        assert anvil_bridge.order(key).transfer_tx == anvil_bridge.store.outbox.of(key)[1].hash
        assert anvil_bridge.paid(key) == 1


def test_the_pool_takes_every_replacement(anvil_bridge: AnvilBridge) -> None:
    (key,) = transferring(anvil_bridge, fee=10**17)
    for bump in range(1, 6):
        anvil_bridge.replace_stuck(after=61)
        newest = anvil_bridge.store.outbox.of(key)[-1]
        assert newest.bump == bump
        assert anvil_bridge.ports.chain.known_by_node([newest.hash]) == [True]
    assert anvil_bridge.store.errors.of(key) == []
    anvil_bridge.mine()
    assert anvil_bridge.ends(key) == [("transfer", REPLACED)] * 5 + [("transfer", MINED)]


def test_what_the_pool_forgot_is_sent_again(anvil_bridge: AnvilBridge) -> None:
    keys = transferring(anvil_bridge, 3)
    anvil_bridge.ports.drop(anvil_bridge.store.outbox.of(keys[0])[0].hash)
    anvil_bridge.look()
    anvil_bridge.mine()
    assert {anvil_bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert [len(anvil_bridge.store.outbox.of(key)) for key in keys] == [1, 1, 1]


def test_a_transfer_that_costs_too_much_is_cancelled(anvil_bridge: AnvilBridge) -> None:
    before = anvil_bridge.balance_of(RECIPIENT)
    (key,) = transferring(anvil_bridge, fee=10**15)
    anvil_bridge.base_fee(100)
    anvil_bridge.mine()
    anvil_bridge.replace_stuck(after=61)
    anvil_bridge.mine()
    assert anvil_bridge.ends(key) == [("transfer", REPLACED), ("cancel", MINED)]
    assert (anvil_bridge.order(key).status, anvil_bridge.order(key).failed) == (
        Status.PROCESSING,
        False,
    )
    assert anvil_bridge.balance_of(RECIPIENT) == before


def test_a_nonce_that_another_program_took_is_lost(anvil_bridge: AnvilBridge) -> None:
    keys = transferring(anvil_bridge, 2)
    for key in reversed(keys):
        anvil_bridge.ports.drop(anvil_bridge.store.outbox.of(key)[0].hash)
    anvil_bridge.elsewhere()
    anvil_bridge.look()
    first, second = keys
    assert anvil_bridge.ends(first) == [("transfer", TxState.LOST)]
    assert anvil_bridge.order(first).status is Status.PROCESSING
    anvil_bridge.mine()
    assert anvil_bridge.order(second).status is Status.FULFILLED
    anvil_bridge.retry()
    anvil_bridge.mine()
    assert anvil_bridge.order(first).status is Status.FULFILLED
    assert [anvil_bridge.paid(key) for key in keys] == [1, 1]


def test_a_nonce_that_another_program_lost_is_filled(anvil_bridge: AnvilBridge) -> None:
    start = anvil_bridge.ports.chain.nonce(pending=False)
    anvil_bridge.elsewhere()
    (key,) = transferring(anvil_bridge)
    anvil_bridge.ports.reorg_l1(1)
    assert anvil_bridge.ports.chain.nonce(pending=False) == start
    anvil_bridge.replace_stuck(after=61)
    anvil_bridge.mine()
    assert anvil_bridge.ends(gap_subject(anvil_bridge.wallet, start)) == [("cancel", MINED)]
    anvil_bridge.mine()  # the pool had dropped what stood above the gap: it was sent again
    assert anvil_bridge.order(key).status is Status.FULFILLED


def test_an_empty_wallet_makes_room_for_what_it_can_pay(anvil_bridge: AnvilBridge) -> None:
    (paid,) = transferring(anvil_bridge)
    anvil_bridge.mine()
    (poor,) = anvil_bridge.find(amount=10**17, fee=10**16)
    anvil_bridge.transfer([poor])
    anvil_bridge.repay([paid])
    anvil_bridge.ports.drop(anvil_bridge.store.outbox.of(poor)[0].hash)
    ask(anvil_bridge.ports.devnet.l1, "anvil_setBalance", anvil_bridge.wallet, hex(5 * 10**16))
    anvil_bridge.look()
    anvil_bridge.replace_stuck(after=61)
    anvil_bridge.look()
    anvil_bridge.mine()
    assert anvil_bridge.ends(poor) == [("transfer", REPLACED), ("cancel", MINED)]
    assert anvil_bridge.order(paid).status is Status.PROVED


def test_l1_takes_a_transfer_back(anvil_bridge: AnvilBridge) -> None:
    before = anvil_bridge.balance_of(RECIPIENT)
    keys = transferring(anvil_bridge, 3, amount=10**16)
    anvil_bridge.mine()
    anvil_bridge.ports.reorg_l1(1)
    anvil_bridge.look()
    assert {anvil_bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    anvil_bridge.mine()
    assert {anvil_bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert [len(anvil_bridge.store.outbox.of(key)) for key in keys] == [1, 1, 1]
    assert anvil_bridge.balance_of(RECIPIENT) - before == 3 * 10**16


def test_l1_takes_transfer_and_claim_back(anvil_bridge: AnvilBridge) -> None:
    key = proved(anvil_bridge)
    anvil_bridge.ports.reorg_l1(2)
    anvil_bridge.look()
    assert anvil_bridge.order(key).status is Status.TRANSFERRING
    anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.PROVED
    assert anvil_bridge.ends(key) == [("transfer", MINED), ("repay", MINED)]
    assert anvil_bridge.settle() == [key]
    assert anvil_bridge.paid(key) == 1


def test_l1_takes_the_claim_of_a_completed_order_back(anvil_bridge: AnvilBridge) -> None:
    key = proved(anvil_bridge)
    assert anvil_bridge.settle() == [key]
    anvil_bridge.ports.reorg_l1(1)
    anvil_bridge.look()
    assert anvil_bridge.order(key).status is Status.PROVING
    anvil_bridge.mine()
    assert anvil_bridge.settle() == [key]


def test_the_l2_takes_an_order_back_before_it_is_paid(anvil_bridge: AnvilBridge) -> None:
    (key,) = anvil_bridge.find()
    anvil_bridge.ports.reorg_l2(1)
    anvil_bridge.transfer([key])
    order = anvil_bridge.order(key)
    assert (order.status, order.is_orphaned) == (Status.DROPPED, True)
    assert anvil_bridge.store.outbox.in_flight() == []


def test_a_number_reused_on_the_l2_is_paid_as_what_it_is_now(anvil_bridge: AnvilBridge) -> None:
    before = anvil_bridge.balance_of(RECIPIENT)
    (key,) = anvil_bridge.find(amount=10**16)
    anvil_bridge.ports.reorg_l2(1)
    assert anvil_bridge.find(amount=3 * 10**16) == [key]
    for _ in range(2):
        anvil_bridge.transfer([key])
        anvil_bridge.mine()
    assert anvil_bridge.order(key).status is Status.FULFILLED
    assert anvil_bridge.balance_of(RECIPIENT) - before == 3 * 10**16
    assert "Reorg" in {e.fault.kind for e in anvil_bridge.store.errors.of("zksync")}


def test_a_transfer_of_an_orphaned_order_is_cancelled(anvil_bridge: AnvilBridge) -> None:
    before = anvil_bridge.balance_of(RECIPIENT)
    (key,) = transferring(anvil_bridge)
    anvil_bridge.ports.reorg_l2(1)
    anvil_bridge.detect()
    assert anvil_bridge.order(key).is_parked
    anvil_bridge.replace_stuck()
    anvil_bridge.mine()
    assert anvil_bridge.ends(key) == [("transfer", REPLACED), ("cancel", MINED)]
    assert anvil_bridge.balance_of(RECIPIENT) == before
    anvil_bridge.retry()
    assert anvil_bridge.order(key).status is Status.DROPPED


def test_a_transfer_for_an_orphaned_order_is_reported(anvil_bridge: AnvilBridge) -> None:
    (key,) = transferring(anvil_bridge)
    anvil_bridge.mine()
    anvil_bridge.ports.reorg_l2(1)
    anvil_bridge.detect()
    order = anvil_bridge.order(key)
    assert (order.status, order.is_parked) == (Status.FULFILLED, True)
    assert (order.reason or "").startswith("ReorgAfterPayment: ")


def test_a_settlement_reorged_out_is_waited_for_again(anvil_bridge: AnvilBridge) -> None:
    key = proved(anvil_bridge)
    assert anvil_bridge.settle() == [key]
    anvil_bridge.detect()
    anvil_bridge.ports.reorg_l2(1)
    anvil_bridge.detect()
    assert anvil_bridge.order(key).status is Status.PROVED
