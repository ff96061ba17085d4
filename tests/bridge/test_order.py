"""The state table: every fact in every status, and every path."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Fact, Status
from mmbot_pipelines.core.errors import IllegalTransition
from mmbot_pipelines.core.money import TxHash
from tests.bridge.orders import NOON, an_order

LATER = NOON + timedelta(minutes=1)
TX = TxHash("0x" + "11" * 32)

# Written out once more, by hand: a slip in the table must not slip into its own test.
LEGAL = {
    "PENDING": {
        "accepted": "PROCESSING",
        "refused": "DROPPED",
        "paid": "FULFILLED",
        "orphaned": "DROPPED",
        "reemitted": "PENDING",
    },
    "PROCESSING": {
        "refused": "DROPPED",
        "paid": "FULFILLED",
        "sent": "TRANSFERRING",
        "orphaned": "DROPPED",
        "reemitted": "PENDING",
        "transfer_reorged": "TRANSFERRING",
    },
    "TRANSFERRING": {"mined": "FULFILLED", "reverted": "PROCESSING", "lost": "PROCESSING"},
    "FULFILLED": {
        "transfer_reorged": "TRANSFERRING",
        "payment_reorged": "PROCESSING",
        "sent": "PROVING",
        "settled": "COMPLETED",
        "mined": "PROVED",
        "reverted": "FULFILLED",
        "lost": "FULFILLED",
        "claim_reorged": "PROVING",
    },
    "PROVING": {
        "mined": "PROVED",
        "reverted": "FULFILLED",
        "lost": "FULFILLED",
        "proven": "PROVED",
        "undelivered": "FULFILLED",
        "settled": "COMPLETED",
        "transfer_reorged": "TRANSFERRING",
    },
    "PROVED": {
        "transfer_reorged": "TRANSFERRING",
        "claim_reorged": "PROVING",
        "undelivered": "FULFILLED",
        "settled": "COMPLETED",
    },
    "COMPLETED": {
        "transfer_reorged": "TRANSFERRING",
        "claim_reorged": "PROVING",
        "settlement_reorged": "PROVED",
        "undelivered": "FULFILLED",
    },
    "DROPPED": {
        "reopened": "PENDING",
        "reemitted": "PENDING",
        "paid": "FULFILLED",
        "transfer_reorged": "TRANSFERRING",
    },
}
PAID = {Status.FULFILLED, Status.PROVING, Status.PROVED, Status.COMPLETED}


@pytest.mark.parametrize("fact", Fact)
@pytest.mark.parametrize("status", Status)
def test_every_fact_in_every_status(status: Status, fact: Fact) -> None:
    order = an_order(status=status)
    if fact not in LEGAL[status]:
        with pytest.raises(IllegalTransition, match=f"zksync:7: {fact} while {status}"):
            order.after(fact, at=LATER)
        return
    after = order.after(fact, at=LATER, tx=TX)
    assert after.status == LEGAL[status][fact]
    assert after.changed_at == LATER


@given(st.lists(st.sampled_from(Fact), max_size=40))
def test_no_path_drops_a_paid_order_or_lowers_an_attempt(facts: list[Fact]) -> None:
    order, was_paid = an_order(), False
    for fact in facts:
        if (order.status, fact) not in NEXT:
            continue
        after = order.after(fact, at=LATER, tx=TX)
        is_orphaned = fact in (Fact.TRANSFER_REORGED, Fact.PAYMENT_REORGED)
        was_paid = (was_paid or after.status in PAID) and not is_orphaned
        assert not (was_paid and after.status is Status.DROPPED)
        assert after.attempt >= order.attempt
        order = after


@given(st.sampled_from(sorted(NEXT)), st.integers(0, 9))
def test_a_step_ends_a_failure_and_only_progress_forgets_it(
    step: tuple[Status, Fact], failures: int
) -> None:
    status, fact = step
    failing = replace(an_order(status=status), failed=True, failures=failures, reason="why")
    after = failing.after(fact, at=LATER, tx=TX)
    assert not after.failed
    progress = fact in {"accepted", "paid", "mined", "proven", "settled", "reemitted", "reopened"}
    assert after.failures == (0 if progress else failures)


def test_each_transaction_is_kept_in_its_place() -> None:
    a, b, c = (TxHash(f"0x{n * 64}") for n in "abc")
    order = an_order(status=Status.PROCESSING).after(Fact.SENT, at=LATER, tx=a)
    order = order.after(Fact.MINED, at=LATER).after(Fact.SENT, at=LATER, tx=b)
    order = order.after(Fact.MINED, at=LATER).after(Fact.SETTLED, at=LATER, tx=c)
    assert (order.transfer_tx, order.claim_tx, order.settle_tx) == (a, b, c)


def test_a_transfer_found_in_the_registry_is_kept() -> None:
    assert an_order().after(Fact.PAID, at=LATER, tx=TX).transfer_tx == TX


def test_a_failed_order_without_a_next_attempt_is_parked() -> None:
    order = an_order()
    waits = order.with_failure("x", failed=True, next_attempt_at=LATER)
    parked = order.with_failure("x", failed=True, next_attempt_at=None)
    assert (order.is_parked, waits.is_parked, parked.is_parked) == (False, False, True)
    assert parked.failures == 1
    assert parked.status is order.status
    moments = (NOON, LATER, LATER + timedelta(minutes=1))
    assert [waits.is_due(moment) for moment in moments] == [False, True, True]
    assert not parked.is_due(LATER)
    taken_up = parked.with_failures_cleared()
    assert (taken_up.failed, taken_up.failures, taken_up.reason) == (False, 0, None)


def test_only_completed_and_dropped_are_final() -> None:
    assert {s for s in Status if s.is_final} == {Status.COMPLETED, Status.DROPPED}
    not_by_itself = {
        "transfer_reorged",
        "claim_reorged",
        "settlement_reorged",
        "undelivered",
        "reemitted",
        "paid",
    }
    not_by_itself |= {"reopened"}
    assert {s for s in Status if LEGAL[s].keys() <= not_by_itself} == {
        s for s in Status if s.is_final
    }


def test_a_claim_by_task_is_named_until_the_next_claim() -> None:
    order = an_order(status=Status.FULFILLED).after(Fact.SENT, at=LATER, ref="task 1")
    assert (order.claim_ref, order.claim_tx, order.is_claimed) == ("task 1", None, True)
    proven = order.after(Fact.PROVEN, at=LATER, tx=TX)
    assert (proven.claim_ref, proven.claim_tx, proven.is_claimed) == ("task 1", TX, True)
    again = proven.after(Fact.UNDELIVERED, at=LATER).after(Fact.SENT, at=LATER, tx=TX)
    assert (again.claim_ref, again.claim_tx, again.is_claimed) == (None, TX, False)


def test_a_message_of_a_block_reorged_out_is_forgotten() -> None:
    order = replace(an_order(status=Status.PROVED), claim_ref="message 0x1")
    back = order.after(Fact.CLAIM_REORGED, at=LATER)
    assert (back.status, back.claim_ref, back.is_claimed) == (Status.PROVING, None, False)


def test_the_transaction_that_was_mined_is_kept() -> None:
    a, b, c, d = (TxHash(f"0x{n * 64}") for n in "abcd")
    order = an_order(status=Status.PROCESSING).after(Fact.SENT, at=LATER, tx=a)
    order = order.after(Fact.MINED, at=LATER, tx=b).after(Fact.SENT, at=LATER, tx=c)
    order = order.after(Fact.MINED, at=LATER, tx=d)
    assert (order.transfer_tx, order.claim_tx) == (b, d)


def test_an_orphaned_order_is_reported_until_it_is_reemitted() -> None:
    order = replace(an_order(status=Status.PROCESSING), transfer_tx=TX)
    gone = order.after(Fact.ORPHANED, at=LATER, reason="its block was reorged out")
    assert (gone.status, gone.is_orphaned, gone.block.number) == (Status.DROPPED, True, 10)
    reported = replace(gone.after(Fact.REEMITTED, at=LATER), block=order.block)
    assert (reported.status, reported.is_orphaned, reported.transfer_tx) == (
        Status.PENDING,
        False,
        None,
    )


def test_a_payment_reorged_out_is_forgotten() -> None:
    order = replace(an_order(status=Status.PROVED), claim_tx=TX)
    paid = order.after(Fact.SETTLED, at=LATER, tx=TX)
    assert paid.after(Fact.SETTLEMENT_REORGED, at=LATER).settle_tx is None
