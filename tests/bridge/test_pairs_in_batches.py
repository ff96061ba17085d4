"""Transfers with their claims in one transaction of our delegated account."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.claims.refunds import record_refunds
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.bridge.claim_batches import names, statuses
from tests.bridge.delegated import batches, delegated
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import completed, finish
from tests.bridge.test_transfer_batches import pays, spent
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    harness = delegated()
    harness.rules(claim_with_transfer=True)
    completed(harness)  # order 0: the first claim of an origin follows its transfer
    return harness


def sent(harness: BridgeHarness, count: int, **order: object) -> tuple[list[str], Transaction]:
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    return keys, harness.transactions()[-1]


def fails(harness: BridgeHarness, key: str, *, claim: bool) -> None:
    number = harness.order(key).number
    matches = (lambda call: names(call, number)) if claim else pays(number)
    harness.chain.refuse(matches, "no" if claim else "Transfer failed.", foreseen=False)


def stuck(harness: BridgeHarness) -> None:
    harness.chain.base_fee = 3 * GWEI
    harness.later(70)
    harness.replace_stuck()


def done(harness: BridgeHarness) -> None:
    """Let all come to its end: paid once, claimed, and no wei unexplained."""
    finish(harness)
    assert spent(harness) == 0
    assert harness.chain.refused_second == 0


def test_one_transaction_pays_and_claims_and_no_run_is_asked_for(harness: BridgeHarness) -> None:
    keys, row = sent(harness, 4)
    assert (row.is_self_call, row.purpose, row.subject) == (True, "transfer", f"{keys[0]}+3")
    assert [(p.subject, p.purpose) for p in row.batch] == [
        (key, purpose) for key in keys for purpose in ("transfer", "repay")
    ]
    harness.mine()
    for key in keys:
        order = harness.order(key)
        assert (order.status, order.transfer_tx, order.claim_tx) == (
            Status.PROVED,
            row.hash,
            row.hash,
        )
        way = [entry.after for entry in harness.store.orders.history(key)]
        assert way[-3:] == [Status.TRANSFERRING, Status.FULFILLED, Status.PROVED]
    assert steps.take_orders(harness.bridge, [Status.FULFILLED]) == []
    assert spent(harness) == 0
    done(harness)
    assert len(batches(harness)) == 1


def test_one_order_has_both_in_one_transaction_too(harness: BridgeHarness) -> None:
    (key,), row = sent(harness, 1)
    assert (row.subject, len(row.batch)) == (f"{key}+0", 2)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    done(harness)


def test_a_transfer_that_fails_takes_its_own_claim_down_alone(harness: BridgeHarness) -> None:
    keys, _ = sent(harness, 3)
    fails(harness, keys[1], claim=False)
    harness.mine()
    assert [harness.order(key).status for key in keys] == [
        Status.PROVED,
        Status.PROCESSING,
        Status.PROVED,
    ]
    refused = harness.order(keys[1])
    assert refused.is_parked
    assert "RecipientRefused" in (refused.reason or "")
    (row,) = batches(harness)
    assert [part.failed for part in row.batch] == [False, False, True, True, False, False]
    assert harness.store.errors.of(row.subject) == []
    assert spent(harness) == 0
    assert harness.store.orders.exposure() == sum(harness.order(k).amount for k in keys[::2])
    assert steps.guard(harness.bridge, harness.run) == []


def test_a_claim_that_fails_is_made_alone_and_no_other_goes_with_a_transfer(
    harness: BridgeHarness,
) -> None:
    keys, row = sent(harness, 3)
    fails(harness, keys[1], claim=True)
    harness.mine()
    assert [harness.order(key).status for key in keys] == [
        Status.PROVED,
        Status.FULFILLED,
        Status.PROVED,
    ]
    left = harness.order(keys[1])
    assert (left.attempt, left.failed, left.claim_tx) == (2, True, None)
    assert [(e.fault.step, e.fault.kind) for e in harness.store.errors.of(left.key)] == [
        ("repay", "BatchFailed")
    ]
    assert [e.fault.kind for e in harness.store.errors.of(row.subject)] == ["Reverted"]
    harness.chain.allow()
    _, after = sent(harness, 2)
    assert {part.purpose for part in after.batch} == {"transfer"}
    harness.later(3700)
    done(harness)
    _, later = sent(harness, 2)
    assert len(later.batch) == 4


def test_a_delegation_removed_before_mining_pays_and_claims_nothing(
    harness: BridgeHarness,
) -> None:
    keys, row = sent(harness, 2)
    harness.chain.account_code = AccountCode.NONE
    harness.mine()
    assert statuses(harness, keys) == {Status.PROCESSING}
    assert {harness.order(key).claim_tx for key in keys} == {None}
    assert [e.fault.kind for e in harness.store.errors.of(row.subject)] == ["Reverted"]
    assert harness.store.orders.exposure() == 0
    assert spent(harness) == 0
    done(harness)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("settled", [True, False])
def test_a_reorg_takes_payment_and_claim_back_and_brings_them_back(
    harness: BridgeHarness, keep: bool, settled: bool
) -> None:
    keys, _ = sent(harness, 3)
    harness.mine()
    if settled:
        harness.l2.deliver()
        harness.settle()
    harness.chain.reorg(1, keep=keep)
    harness.look()
    assert statuses(harness, keys) == {Status.TRANSFERRING}
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    done(harness)
    assert len(batches(harness)) == 1


def test_after_a_reorg_other_calls_may_fail(harness: BridgeHarness) -> None:
    keys, _ = sent(harness, 3)
    fails(harness, keys[0], claim=False)
    fails(harness, keys[1], claim=True)
    harness.mine()
    harness.chain.allow()
    fails(harness, keys[2], claim=True)
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    harness.look()
    assert [harness.order(key).status for key in keys] == [
        Status.PROVED,
        Status.PROVED,
        Status.FULFILLED,
    ]
    (row,) = batches(harness)
    assert [part.failed for part in row.batch] == [False] * 5 + [True]
    assert spent(harness) == 0
    harness.chain.allow()
    done(harness)


def test_a_replacement_pays_alone_and_the_claims_follow(harness: BridgeHarness) -> None:
    keys, _ = sent(harness, 3)
    stuck(harness)
    second = batches(harness)[1]
    assert [(p.subject, p.purpose) for p in second.batch] == [(k, "transfer") for k in keys]
    harness.mine()
    assert [row.state for row in batches(harness)] == [TxState.REPLACED, TxState.MINED]
    assert statuses(harness, keys) == {Status.FULFILLED}
    assert {harness.order(key).claim_tx for key in keys} == {None}
    done(harness)


def test_the_first_is_mined_after_all_with_its_claims(harness: BridgeHarness) -> None:
    keys, row = sent(harness, 3)
    first = harness.chain.pool.copy()
    stuck(harness)
    harness.chain.base_fee = GWEI
    harness.chain.pool = first
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    assert {harness.order(key).claim_tx for key in keys} == {row.hash}
    done(harness)


def test_a_reorg_may_bring_the_one_without_claims(harness: BridgeHarness) -> None:
    keys, _ = sent(harness, 2)
    first = harness.chain.pool.copy()
    stuck(harness)
    second, harness.chain.pool = harness.chain.pool, first
    harness.chain.base_fee = GWEI
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert statuses(harness, keys) == {Status.TRANSFERRING}
    harness.chain.pool = second
    harness.mine()
    assert statuses(harness, keys) == {Status.FULFILLED}
    done(harness)


def test_a_batch_that_nobody_wants_is_cancelled(harness: BridgeHarness) -> None:
    keys, _ = sent(harness, 2)
    for key in keys:
        harness.l2.pay(harness.order(key).number)
    stuck(harness)
    cancel = harness.transactions()[-1]
    assert (cancel.purpose, [p.subject for p in cancel.batch]) == ("cancel", keys)
    harness.mine()
    assert statuses(harness, keys) == {Status.PROCESSING}
    assert spent(harness) == 0


def test_what_failed_messages_give_back_is_recorded(harness: BridgeHarness) -> None:
    _, row = sent(harness, 2)
    harness.mine()
    harness.l2.refunds[row.hash] = Wei(9)
    record_refunds(harness.bridge, "zksync", harness.run)
    assert batches(harness)[0].refund == 9


def test_a_batch_of_transfers_alone_is_asked_about_once(harness: BridgeHarness) -> None:
    harness.rules(claim_with_transfer=False)
    _, row = sent(harness, 2)
    harness.mine()
    record_refunds(harness.bridge, "zksync", harness.run)
    assert [t.refund for t in batches(harness) if t.hash == row.hash] == [0]


def test_a_wallet_that_cannot_pay_for_both_sends_neither(harness: BridgeHarness) -> None:
    harness.chain.endowment -= harness.chain.balance() - 4 * 10**16
    keys, row = sent(harness, 6, amount=10**16, fee=10**15)
    assert len(row.batch) == 6
    assert row.max_cost <= harness.chain.balance()
    waiting = [harness.order(k).reason for k in keys if harness.order(k).transfer_tx is None]
    assert waiting == ["waiting: the wallet has too little ETH"] * 3
