"""Claims of several orders that fail, are late, replaced or reorged out."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from mmbot_pipelines.core.safety import State
from tests.bridge.claim_batches import claims, collecting, finish, names, paid, statuses
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    return collecting()


def test_a_batch_that_reverts_counts_once_and_its_orders_go_alone(harness: BridgeHarness) -> None:
    harness.rules(thresholds=replace(harness.bridge.rules.thresholds, halt_after_failures=3))
    keys = paid(harness, 6)
    harness.chain.refuse(lambda call: b'"claims"' in call.data, "no", foreseen=False)
    harness.repay(keys)
    harness.mine()
    for key in keys:
        order = harness.order(key)
        assert (order.status, order.attempt, order.failed) == (Status.FULFILLED, 2, True)
        assert [e.fault.kind for e in harness.store.errors.of(key)] == ["BatchFailed"]
    (batch,) = claims(harness)
    assert [e.fault.kind for e in harness.store.errors.of(batch.subject)] == ["Reverted"]
    assert all(s.state is not State.HALTED for s in harness.store.safety.scope_states())
    harness.later(1000)
    harness.repay(keys)
    assert [len(claim.parts) for claim in claims(harness)[1:]] == [1] * 6
    finish(harness)
    # Nor does anybody else's go in a batch, until an hour has passed.
    harness.now = batch.stored_at
    others = paid(harness, 2)
    harness.repay(others)
    assert [len(claim.parts) for claim in claims(harness)[-2:]] == [1, 1]


def test_a_message_that_fails_on_the_l2_is_followed_by_single_claims(
    harness: BridgeHarness,
) -> None:
    harness.rules(thresholds=replace(harness.bridge.rules.thresholds, halt_after_failures=3))
    keys = paid(harness, 4)
    harness.repay(keys)
    harness.mine()
    gone = harness.order(keys[0])
    harness.l2.pay(gone.number)  # by another claim of it: the whole message fails
    harness.l2.deliver()
    harness.l2.mine(12)
    harness.settle()
    assert harness.order(gone.key).status is Status.COMPLETED
    assert statuses(harness, keys[1:]) == {Status.PROVED}
    steps.backfill(harness.bridge, harness.run)
    for key in keys[1:]:
        order = harness.order(key)
        assert (order.status, order.lost_claims) == (Status.FULFILLED, 1)
        assert [e.fault.kind for e in harness.store.errors.of(key)] == ["BatchFailed"]
    (batch,) = claims(harness)
    assert [e.fault.kind for e in harness.store.errors.of(batch.subject)] == ["Undelivered"]
    assert all(s.state is not State.HALTED for s in harness.store.safety.scope_states())
    finish(harness)
    assert [len(claim.parts) for claim in claims(harness)] == [4, 1, 1, 1]


@pytest.mark.parametrize("keep", [True, False])
def test_a_reorg_takes_all_orders_of_a_batch_back_and_brings_them_back(
    harness: BridgeHarness, keep: bool
) -> None:
    keys = paid(harness, 3)
    harness.repay(keys)
    harness.mine()
    harness.chain.reorg(1, keep=keep)
    harness.look()
    assert statuses(harness, keys) == {Status.PROVING}
    for key in keys:
        assert [e.fault.kind for e in harness.store.errors.of(key)] == ["Reorged"]
    harness.mine()
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    finish(harness)
    assert len(claims(harness)) == 1


def test_a_price_that_rises_replaces_the_batch(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.repay(keys)
    harness.chain.base_fee = 5 * GWEI
    harness.replace_stuck()
    first, second = claims(harness)
    assert (first.nonce, first.bump, second.nonce, second.bump) == (second.nonce, 0, first.nonce, 1)
    assert sum(part.value for part in second.parts) == second.call.value
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    assert [row.state for row in claims(harness)] == [TxState.REPLACED, TxState.MINED]
    finish(harness)


def test_a_replacement_leaves_out_what_the_escrow_would_not_pay(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.repay(keys)
    gone = harness.order(keys[0])
    harness.l2.pay(gone.number)
    harness.chain.base_fee = 5 * GWEI
    harness.replace_stuck()
    second = claims(harness)[1]
    assert [part.subject for part in second.parts] == keys[1:]
    harness.mine()
    assert statuses(harness, keys[1:]) == {Status.PROVED}
    left = harness.order(gone.key)
    assert (left.status, left.attempt, left.failed) == (Status.FULFILLED, 2, False)
    finish(harness)


def test_a_batch_that_would_revert_by_now_is_cancelled_and_made_again(
    harness: BridgeHarness,
) -> None:
    keys = paid(harness, 3)
    harness.repay(keys)
    bad = harness.order(keys[0])
    harness.chain.refuse(lambda call: names(call, bad.number), "no")
    harness.chain.max_per_block = 0
    harness.later(61)
    harness.replace_stuck()
    harness.chain.max_per_block = None
    harness.mine()
    assert [(row.purpose, row.state) for row in harness.store.outbox.of(keys[1])[1:]] == [
        ("repay", TxState.REPLACED),
        ("cancel", TxState.MINED),
    ]
    assert statuses(harness, keys) == {Status.FULFILLED}
    harness.failing(lambda: harness.repay(keys))
    assert statuses(harness, keys[1:]) == {Status.PROVING}
    harness.chain.allow()
    finish(harness)


def test_a_lost_nonce_sets_every_order_back(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.chain.broadcast_fault = None
    harness.chain.elsewhere(Call(to=harness.chain.wallet, data=b"", value=Wei(1)))
    harness.look()
    assert statuses(harness, keys) == {Status.FULFILLED}
    assert {harness.order(key).attempt for key in keys} == {2}
    assert [row.state for row in claims(harness)] == [TxState.LOST]
    finish(harness)


def test_a_late_batch_is_not_sent_while_the_escrow_is_paused(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.later(LATE_SECONDS + 1)
    harness.l2.paused, harness.chain.broadcast_fault = True, None
    harness.look()
    assert harness.chain.pool == {}
    harness.l2.paused = False
    harness.later(60)
    finish(harness)


def test_a_late_batch_is_not_sent_with_an_order_that_is_paid_by_now(
    harness: BridgeHarness,
) -> None:
    keys = paid(harness, 3)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.later(LATE_SECONDS + 1)
    harness.l2.pay(harness.order(keys[0]).number)
    harness.chain.broadcast_fault = None
    harness.look()
    assert harness.chain.pool == {}
    harness.replace_stuck()
    harness.mine()
    assert statuses(harness, keys[1:]) == {Status.PROVED}
    finish(harness)


def test_a_message_whose_end_is_not_known_yet_is_looked_after_again(
    harness: BridgeHarness,
) -> None:
    keys = paid(harness, 2)
    harness.repay(keys)
    harness.mine()
    (batch,) = claims(harness)
    harness.l2.pay(harness.order(keys[0]).number)
    harness.l2.refunds[batch.hash] = Wei(7)  # known already, its failure is not
    steps.backfill(harness.bridge, harness.run)
    assert harness.store.outbox.of(keys[1])[-1].refund is None
    harness.l2.deliver()
    harness.later(86_400)
    steps.backfill(harness.bridge, harness.run)
    assert harness.store.outbox.of(keys[1])[-1].refund == 7
    assert harness.order(keys[1]).status is Status.FULFILLED
    finish(harness)


def test_a_death_between_store_and_broadcast_loses_no_batch(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    assert statuses(harness, keys) == {Status.PROVING}
    for key in keys:
        assert [e.fault.step for e in harness.store.errors.of(key)] == ["broadcast"]
    harness.chain.broadcast_fault = None
    harness.later(10)
    harness.look()
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    finish(harness)


def test_what_an_l2_reorg_takes_away_is_not_claimed_with_the_others(
    harness: BridgeHarness,
) -> None:
    first = paid(harness, 2)
    second = paid(harness, 2)
    orders = [harness.order(key) for key in second]
    harness.l2.reorg(1)
    harness.l2.mine()
    harness.repay([*first, *second])
    (claim,) = claims(harness)
    assert sorted(part.subject for part in claim.parts) == sorted(first)
    assert {o.key for o in map(harness.order, second) if o.is_parked} == set(second)
    harness.l2.put(orders)
    harness.detect()
    finish(harness)
