"""Batches of transfers that are stuck, cancelled or reorged out (MMBOT_BATCH)."""

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.delegated import batches, delegated
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_transfer_batches import pays, spent

GWEI = 10**9


@pytest.fixture
def harness() -> BridgeHarness:
    return delegated()


def sent(harness: BridgeHarness, count: int, **order: object) -> list[str]:
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    assert {harness.order(key).status for key in keys} == {Status.TRANSFERRING}
    return keys


def stuck(harness: BridgeHarness) -> None:
    harness.chain.base_fee = 3 * GWEI
    harness.later(70)
    harness.replace_stuck()


def finished(harness: BridgeHarness, keys: list[str]) -> None:
    """Check that all is paid once, and that no wei is unexplained."""
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    assert [harness.paid(key) for key in keys] == [1] * len(keys)
    assert spent(harness) == 0


def test_a_stuck_batch_goes_again_at_higher_fees(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    stuck(harness)
    first, second = batches(harness)
    assert (second.nonce, second.bump, second.call) == (first.nonce, 1, first.call)
    assert second.fees.ceiling > first.fees.ceiling
    harness.mine()
    assert [row.state for row in batches(harness)] == [TxState.REPLACED, TxState.MINED]
    finished(harness, keys)


def test_who_cannot_carry_the_higher_fee_is_left_out(harness: BridgeHarness) -> None:
    rich = harness.set_and_detect(2)
    poor = harness.set_and_detect(1, fee=3 * 10**14)
    keys = [*rich, *poor]
    harness.transfer(keys)
    stuck(harness)
    _, second = batches(harness)
    assert [part.subject for part in second.batch] == rich
    harness.mine()
    assert {harness.order(key).status for key in rich} == {Status.FULFILLED}
    left = harness.order(poor[0])
    assert (left.status, harness.paid(poor[0])) == (Status.PROCESSING, 0)
    assert left.failures == 0
    harness.chain.base_fee = GWEI
    harness.transfer(poor)
    harness.mine()
    finished(harness, keys)


def test_the_first_is_mined_after_all_and_pays_who_was_left_out(harness: BridgeHarness) -> None:
    rich = harness.set_and_detect(2)
    poor = harness.set_and_detect(1, fee=3 * 10**14)
    harness.transfer([*rich, *poor])
    first = harness.chain.pool.copy()
    stuck(harness)
    harness.chain.base_fee = GWEI
    harness.chain.pool = first
    harness.mine()
    finished(harness, [*rich, *poor])


def test_an_order_that_the_escrow_has_paid_out_is_left_out(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    harness.l2.pay(1)
    stuck(harness)
    assert [part.subject for part in batches(harness)[-1].batch] == [keys[0], keys[2]]
    harness.mine()
    finished(harness, [keys[0], keys[2]])
    assert harness.paid(keys[1]) == 0


def test_a_batch_none_of_whose_orders_is_to_be_paid_is_cancelled(harness: BridgeHarness) -> None:
    keys = sent(harness, 2)
    for number in range(2):
        harness.l2.pay(number)
    stuck(harness)
    cancel = harness.transactions()[-1]
    assert (cancel.purpose, cancel.nonce) == ("cancel", batches(harness)[0].nonce)
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.PROCESSING}
    assert {harness.order(key).failures for key in keys} == {0}
    assert spent(harness) == 0


def test_a_parked_order_is_taken_out_of_a_batch_that_is_not_stuck(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    parked = harness.order(keys[0]).with_failure("orphaned", failed=True, next_attempt_at=None)
    harness.put(parked)
    harness.replace_stuck()
    assert [part.subject for part in batches(harness)[-1].batch] == keys[1:]
    harness.replace_stuck()
    assert len(batches(harness)) == 2
    harness.mine()
    finished(harness, keys[1:])
    assert harness.paid(keys[0]) == 0


def test_a_batch_of_an_account_without_code_is_cancelled(harness: BridgeHarness) -> None:
    keys = sent(harness, 2)
    harness.chain.account_code = AccountCode.NONE
    stuck(harness)
    assert harness.transactions()[-1].purpose == "cancel"
    harness.mine()
    harness.transfer(keys)
    harness.mine()
    finished(harness, keys)


def test_a_batch_that_stays_stuck_where_no_margin_helps_is_cancelled(
    harness: BridgeHarness,
) -> None:
    keys = sent(harness, 2, fee=3 * 10**14)
    stuck(harness)
    assert harness.transactions()[-1].purpose == "cancel"
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.PROCESSING}


def test_a_reorg_that_puts_the_batch_into_another_block_changes_nothing(
    harness: BridgeHarness,
) -> None:
    keys = sent(harness, 3)
    harness.mine()
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    finished(harness, keys)


def test_a_reorg_after_which_others_fail_is_decided_again(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    harness.chain.refuse(pays(1), "Transfer failed.", foreseen=False)
    harness.mine()
    assert harness.order(keys[1]).is_parked
    harness.chain.allow()
    harness.chain.refuse(pays(2), "Transfer failed.", foreseen=False)
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    harness.look()
    assert [harness.order(key).status for key in keys] == [
        Status.FULFILLED,
        Status.FULFILLED,
        Status.PROCESSING,
    ]
    assert [harness.order(key).is_parked for key in keys] == [False, False, True]
    (row,) = batches(harness)
    assert [part.failed for part in row.batch] == [False, False, True]
    assert [harness.paid(key) for key in keys] == [1, 1, 0]
    assert spent(harness) == 0


def test_a_reorg_of_the_delegation_takes_the_payments_back(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    harness.mine()
    harness.chain.account_code = AccountCode.NONE
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    harness.look()
    assert {harness.order(key).status for key in keys} == {Status.PROCESSING}
    assert harness.store.orders.exposure() == 0
    assert spent(harness) == 0


def test_a_reorged_batch_goes_again(harness: BridgeHarness) -> None:
    keys = sent(harness, 3)
    harness.mine()
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert {harness.order(key).status for key in keys} == {Status.TRANSFERRING}
    harness.mine()
    finished(harness, keys)
