"""Claims of several orders in one transaction (MMBOT_CLAIM=batched)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.errors import RpcUnavailable, SimulationReverted
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, Transaction, TxState
from mmbot_pipelines.core.safety import State
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    harness = BridgeHarness()
    harness.rules(batching=Batching(max_orders=8, max_age_seconds=30))
    harness.l2.max_batch = 96
    return harness


def paid(harness: BridgeHarness, count: int, **order: object) -> list[str]:
    """Let users set orders, and the bot pay them."""
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    return keys


def claims(harness: BridgeHarness) -> list[Transaction]:
    return [row for row in harness.transactions() if row.purpose == "repay"]


def due(harness: BridgeHarness) -> list[str]:
    return [o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED], "zksync")]


def statuses(harness: BridgeHarness, keys: Sequence[str]) -> set[Status]:
    return {harness.order(key).status for key in keys}


def finish(harness: BridgeHarness) -> None:
    """Let everything come to its end, and check what it cost."""
    for _ in range(12):
        harness.later(400)
        steps.backfill(harness.bridge, harness.run)
        try:
            steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
        except steps.OrdersFailed as e:
            harness.run.log(str(e))
        harness.repay(due(harness))
        harness.replace_stuck()
        harness.mine()
        harness.l2.deliver()
        harness.l2.mine(12)
        harness.settle()
    assert set(harness.statuses().values()) == {Status.COMPLETED}
    for key in harness.statuses():
        assert harness.paid(key) == 1


def names(call: Call, number: int) -> bool:
    """Return whether a claim, of one order or of several, names an order."""
    return b'"claim' in call.data and f'"zksync", {number}, '.encode() in call.data


def test_paid_orders_are_collected_until_there_are_enough(harness: BridgeHarness) -> None:
    paid(harness, 5)
    assert due(harness) == []
    more = paid(harness, 3)
    keys = due(harness)
    assert len(keys) == 8
    assert set(more) <= set(keys)
    harness.repay(keys)
    (claim,) = claims(harness)
    assert sorted(part.subject for part in claim.parts) == sorted(keys)
    assert sum(part.value for part in claim.parts) == claim.call.value
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    assert {harness.order(key).claim_tx for key in keys} == {claim.hash}
    finish(harness)
    assert len(claims(harness)) == 1


def test_the_oldest_order_waits_no_longer_than_it_may(harness: BridgeHarness) -> None:
    keys = paid(harness, 2)
    harness.later(29)
    assert due(harness) == []
    harness.later(1)
    assert sorted(due(harness)) == sorted(keys)
    harness.repay(keys)
    assert len(claims(harness)) == 1
    finish(harness)


def test_money_that_is_out_is_claimed_at_once(harness: BridgeHarness) -> None:
    harness.rules(batching=Batching(max_orders=8, max_age_seconds=30, max_exposure=Wei(2 * 10**16)))
    paid(harness, 1)
    assert due(harness) == []
    paid(harness, 1)
    assert len(due(harness)) == 2


def test_one_order_alone_is_claimed_as_ever(harness: BridgeHarness) -> None:
    (key,) = paid(harness, 1)
    harness.later(30)
    assert due(harness) == [key]
    harness.repay([key])
    (claim,) = claims(harness)
    assert (claim.subject, claim.batch) == (key, ())
    finish(harness)


def test_a_registry_without_batches_claims_each_at_once(harness: BridgeHarness) -> None:
    harness.l2.max_batch = 1
    keys = paid(harness, 3)
    assert sorted(due(harness)) == sorted(keys)
    harness.repay(keys)
    assert [claim.batch for claim in claims(harness)] == [(), (), ()]
    finish(harness)


def test_every_order_has_its_own_history(harness: BridgeHarness) -> None:
    keys = paid(harness, 3)
    harness.repay(keys)
    harness.mine()
    (claim,) = claims(harness)
    for key in keys:
        *_, proving, proved = harness.store.orders.history(key)
        assert (proving.before, proving.after) == (Status.FULFILLED, Status.PROVING)
        assert (proved.before, proved.after) == (Status.PROVING, Status.PROVED)
        assert proving.tx == proved.tx == claim.hash
        assert harness.store.outbox.of(key)[-1] == claim
    finish(harness)


def test_a_batch_that_would_revert_is_split_and_the_others_are_claimed(
    harness: BridgeHarness,
) -> None:
    keys = paid(harness, 7)
    bad = harness.order(keys[2])
    harness.chain.refuse(lambda call: names(call, bad.number), "Transfer not found.")
    harness.failing(lambda: harness.repay(keys))
    rest = [key for key in keys if key != bad.key]
    assert statuses(harness, rest) == {Status.PROVING}
    assert harness.order(bad.key).status is Status.FULFILLED
    (error,) = harness.store.errors.of(bad.key)
    assert error.fault.kind == "ClaimRefused"
    assert not any(harness.store.errors.of(key) for key in rest)
    assert len(claims(harness)) == 3  # of 3, of 2, and of one alone
    harness.mine()
    assert statuses(harness, rest) == {Status.PROVED}
    harness.chain.allow()
    finish(harness)


def test_an_order_that_the_escrow_has_paid_holds_up_no_others(harness: BridgeHarness) -> None:
    keys = paid(harness, 4)
    odd = harness.order(keys[1])
    check = harness.l2.check

    def claimed(orders: Sequence[Order]) -> list[object]:
        gone = SimulationReverted("Order claimed or nonexistent")
        return [gone if o.key == odd.key else f for o, f in zip(orders, check(orders), strict=True)]

    harness.l2.check = claimed
    harness.repay(keys)
    alone, together = sorted(claims(harness), key=lambda row: len(row.parts))
    assert [part.subject for part in alone.parts] == [odd.key]
    assert odd.key not in {part.subject for part in together.parts}
    harness.l2.check = check
    finish(harness)


def test_an_order_that_does_not_bring_its_share_waits_alone(harness: BridgeHarness) -> None:
    keys = paid(harness, 2)
    (small,) = paid(harness, 1, amount=10**13, fee=10**15)
    harness.chain.base_fee = 40 * GWEI
    harness.repay([*keys, small])
    assert statuses(harness, keys) == {Status.PROVING}
    order = harness.order(small)
    assert (order.status, order.reason) == (
        Status.FULFILLED,
        "waiting: its claim would cost what it brings",
    )
    (claim,) = claims(harness)
    assert len(claim.parts) == 2
    harness.chain.base_fee = GWEI
    finish(harness)


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
