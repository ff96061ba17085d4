"""Claims of several orders as calls of our delegated account (MMBOT_BATCH, a registry of v1)."""

import pytest

from mmbot_pipelines.adapters.db.bridge.figures import PgFigures
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.claims.refunds import record_refunds
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Transaction, TxState
from mmbot_pipelines.core.safety import State
from tests.bridge.claim_batches import claims, names, paid, statuses
from tests.bridge.delegated import delegated
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import finish
from tests.bridge.test_transfer_batches import spent
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    return delegated()


def claimed(harness: BridgeHarness, count: int) -> tuple[list[str], Transaction]:
    """Let orders be paid and claimed in two transactions; the claims are not mined yet."""
    keys = paid(harness, count)
    harness.repay(keys)
    (row,) = claims(harness)
    return keys, row


def refuses(harness: BridgeHarness, key: str, *, foreseen: bool = False) -> None:
    number = harness.order(key).number
    harness.chain.refuse(lambda call: names(call, number), "no", foreseen=foreseen)


def done(harness: BridgeHarness) -> None:
    """Let all come to its end: paid once, claimed, and no wei unexplained."""
    finish(harness)
    assert spent(harness) == 0
    assert harness.chain.refused_second == 0


def test_claims_of_many_orders_are_calls_of_one_transaction(harness: BridgeHarness) -> None:
    keys, row = claimed(harness, 5)
    assert (row.is_self_call, row.purpose, len(row.batch)) == (True, "repay", 5)
    assert {part.purpose for part in row.batch} == {"repay"}
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    assert {harness.order(key).claim_tx for key in keys} == {row.hash}
    assert len(harness.transactions()) == 2
    done(harness)


def test_one_claim_goes_as_ever(harness: BridgeHarness) -> None:
    (key,), row = claimed(harness, 1)
    assert (row.subject, row.batch) == (key, ())
    done(harness)


def test_a_claim_that_fails_keeps_no_neighbour_from_its_own(harness: BridgeHarness) -> None:
    keys, row = claimed(harness, 4)
    refuses(harness, keys[1])
    harness.mine()
    assert [harness.order(key).status for key in keys] == [
        Status.PROVED,
        Status.FULFILLED,
        Status.PROVED,
        Status.PROVED,
    ]
    left = harness.order(keys[1])
    assert (left.attempt, left.failed, left.is_parked) == (2, True, False)
    assert [e.fault.kind for e in harness.store.errors.of(left.key)] == ["BatchFailed"]
    assert harness.store.errors.of(row.subject) == []
    assert spent(harness) == 0
    assert steps.guard(harness.bridge, harness.run) == []
    harness.chain.allow()
    done(harness)
    assert claims(harness)[1].batch == ()


def test_a_delegation_removed_before_mining_claims_nothing(harness: BridgeHarness) -> None:
    keys, row = claimed(harness, 3)
    harness.chain.account_code = AccountCode.NONE
    harness.mine()
    assert statuses(harness, keys) == {Status.FULFILLED}
    assert [e.fault.kind for e in harness.store.errors.of(row.subject)] == ["Reverted"]
    assert all(s.state is not State.HALTED for s in harness.store.safety.scope_states())
    assert spent(harness) == 0
    done(harness)


def test_a_batch_that_reverts_counts_once(harness: BridgeHarness) -> None:
    keys, row = claimed(harness, 3)
    harness.chain.refuse(lambda call: call.data.startswith(b'["batch"'), "no", foreseen=False)
    harness.mine()
    assert statuses(harness, keys) == {Status.FULFILLED}
    assert [e.fault.kind for e in harness.store.errors.of(row.subject)] == ["Reverted"]
    assert {e.fault.kind for key in keys for e in harness.store.errors.of(key)} == {"BatchFailed"}
    harness.chain.allow()
    done(harness)


@pytest.mark.parametrize("keep", [True, False])
def test_a_reorg_takes_all_of_them_back_and_brings_them_back(
    harness: BridgeHarness, keep: bool
) -> None:
    keys, _ = claimed(harness, 3)
    harness.mine()
    harness.chain.reorg(1, keep=keep)
    harness.look()
    assert statuses(harness, keys) == {Status.PROVING}
    harness.mine()
    assert statuses(harness, keys) == {Status.PROVED}
    done(harness)
    assert len(claims(harness)) == 1


def test_after_a_reorg_other_claims_may_fail(harness: BridgeHarness) -> None:
    keys, _ = claimed(harness, 3)
    refuses(harness, keys[1])
    harness.mine()
    harness.chain.allow()
    refuses(harness, keys[2])
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    harness.look()
    assert [harness.order(key).status for key in keys] == [
        Status.PROVED,
        Status.PROVED,
        Status.FULFILLED,
    ]
    (row,) = claims(harness)
    assert [part.failed for part in row.batch] == [False, False, True]
    assert spent(harness) == 0
    harness.chain.allow()
    done(harness)


def test_higher_fees_price_the_messages_again(harness: BridgeHarness) -> None:
    keys, first = claimed(harness, 3)
    harness.chain.base_fee = 3 * GWEI
    harness.later(70)
    harness.replace_stuck()
    second = claims(harness)[1]
    assert (second.nonce, second.bump, len(second.batch)) == (first.nonce, 1, 3)
    assert second.batch[0].value > first.batch[0].value
    harness.mine()
    assert [row.state for row in claims(harness)] == [TxState.REPLACED, TxState.MINED]
    assert statuses(harness, keys) == {Status.PROVED}
    done(harness)


def test_a_replacement_leaves_out_what_cannot_be_claimed_now(harness: BridgeHarness) -> None:
    keys, _ = claimed(harness, 4)
    harness.l2.pay(harness.order(keys[0]).number)
    refuses(harness, keys[1], foreseen=True)
    harness.chain.base_fee = 3 * GWEI
    harness.later(70)
    harness.replace_stuck()
    assert [part.subject for part in claims(harness)[1].batch] == keys[2:]
    harness.chain.allow()
    harness.mine()
    assert statuses(harness, keys[2:]) == {Status.PROVED}
    left = [harness.order(key) for key in keys[:2]]
    assert {(o.status, o.attempt, o.failed) for o in left} == {(Status.FULFILLED, 2, False)}
    done(harness)


def test_what_the_account_makes_no_batches_for_any_more_is_cancelled(
    harness: BridgeHarness,
) -> None:
    keys, _ = claimed(harness, 2)
    harness.chain.account_code = AccountCode.NONE
    harness.chain.base_fee = 3 * GWEI
    harness.later(70)
    harness.replace_stuck()
    assert harness.transactions()[-1].purpose == "cancel"
    harness.mine()
    assert statuses(harness, keys) == {Status.FULFILLED}
    done(harness)


def test_late_claims_are_not_sent_while_the_escrow_is_paused(harness: BridgeHarness) -> None:
    keys = paid(harness, 2)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.later(LATE_SECONDS + 1)
    harness.l2.paused, harness.chain.broadcast_fault = True, None
    harness.look()
    assert harness.chain.pool == {}
    harness.l2.paused = False
    harness.later(60)
    done(harness)


def test_an_order_that_is_paid_by_now_keeps_no_late_claim_back(harness: BridgeHarness) -> None:
    """Another message pays nothing more, and the others' are their own."""
    keys = paid(harness, 2)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.later(LATE_SECONDS + 1)
    harness.l2.pay(harness.order(keys[0]).number)
    harness.chain.broadcast_fault = None
    harness.look()
    assert len(harness.chain.pool) == 1
    done(harness)


def test_a_message_that_failed_takes_no_neighbour_back(harness: BridgeHarness) -> None:
    keys, row = claimed(harness, 2)
    harness.mine()
    record_refunds(harness.bridge, "zksync", harness.run)
    assert claims(harness)[0].refund is None
    harness.l2.refunds[row.hash] = Wei(7)
    harness.later(3600)
    record_refunds(harness.bridge, "zksync", harness.run)
    assert claims(harness)[0].refund == 7
    assert statuses(harness, keys) == {Status.PROVED}
    done(harness)


def test_what_the_messages_cost_is_counted_without_those_that_failed(
    harness: BridgeHarness,
) -> None:
    keys, row = claimed(harness, 3)
    refuses(harness, keys[0])
    harness.mine()
    paid_for = sum(part.value for part in row.batch[1:])
    figures = PgFigures(lambda: harness.engine).read()
    assert figures.messages_wei == {("zksync",): paid_for}
