"""Statistics over all orders."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.ports.order_stats import LongWait, OrderStats, Parked, Shortage
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.money import Wei
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    OURS,
    THEIRS,
    add,
    change,
    decide,
    lost,
    mined,
    processing,
    send,
    step,
)
from tests.postgres import clean_engine


@dataclass
class Kept:
    store: BridgeStore
    records: OrderStats


@pytest.fixture
def kept() -> Kept:
    engine = clean_engine()
    return Kept(PgBridgeStore(engine), PgOrderStats(engine))


def test_an_empty_store(kept: Kept) -> None:
    assert kept.records.highest_nonce(CHAIN, OURS) is None
    assert kept.records.nonces_lost(CHAIN, OURS, since=NOON) == []


def test_the_highest_nonce_is_the_wallets_own(kept: Kept) -> None:
    first, second, other = processing(kept.store, 1, 2, 3)
    send(kept.store, first, second, chain_nonce=2**64)
    send(kept.store, other, chain_nonce=2**70, wallet=THEIRS)
    assert kept.records.highest_nonce(CHAIN, OURS) == 2**64 + 1
    assert kept.records.highest_nonce(CHAIN + 1, OURS) is None


def test_a_lost_nonce_is_one_that_none_of_ours_used(kept: Kept) -> None:
    sent = send(kept.store, *processing(kept.store, 1, 2, 3), chain_nonce=5)
    for transaction, outcome in zip(sent, (mined, lost, lost), strict=True):
        decide(kept.store, outcome(transaction), None, None, run_id="r", at=NOON)
    assert kept.records.nonces_lost(CHAIN, OURS, since=NOON) == [6, 7]
    assert kept.records.nonces_lost(CHAIN, OURS, since=NOON + timedelta(seconds=1)) == []
    assert kept.records.nonces_lost(CHAIN, THEIRS, since=NOON) == []


def test_a_shortage_counts_the_healthy_orders_that_wait_for_eth(kept: Kept) -> None:
    poor, other = "waiting: poor", "waiting: something else"
    unpaid, paid, failed, elsewhere = processing(kept.store, 1, 2, 3, 4)
    paid = step(kept.store, paid, Fact.PAID)
    for order, reason, ill in (
        (unpaid, poor, False),
        (paid, poor, False),
        (failed, poor, True),
        (elsewhere, other, False),
    ):
        after = replace(order, reason=reason, failed=ill)
        change(kept.store, order, after, run_id="r", at=NOON)
    needs = unpaid.amount + unpaid.fee + paid.fee
    found = kept.records.shortage([poor, "waiting: other"], max_orders=9)
    assert found == Shortage(orders=2, needs=Wei(needs))
    some = kept.records.shortage([poor], max_orders=1)
    assert (some.orders, some.more) == (1, True)
    none = kept.records.shortage(["none"], max_orders=9)
    assert none == Shortage(orders=0, needs=Wei(0))


def test_parked_orders_are_counted_and_the_first_unpaid_are_listed(kept: Kept) -> None:
    nothing = kept.records.parked(max_paid=1, max_unpaid=2)
    assert nothing == Parked(orders=0, paid=[], unpaid=[])
    first, second, third, paid, failed = processing(kept.store, 1, 2, 3, 4, 5)
    paid = step(kept.store, paid, Fact.PAID)
    for order in (first, second, third, paid):
        parked = order.with_failure("no", failed=True, next_attempt_at=None)
        change(kept.store, order, parked, run_id="r", at=NOON)
    later = failed.with_failure("no", failed=True, next_attempt_at=NOON)
    change(kept.store, failed, later, run_id="r", at=NOON)
    found = kept.records.parked(max_paid=1, max_unpaid=2)
    assert (found.orders, [o.number for o in found.unpaid]) == (4, [1, 2])
    assert [o.number for o in found.paid] == [4]
    assert kept.records.parked(max_paid=0, max_unpaid=0).paid == []
    change(
        kept.store, found.unpaid[0], found.unpaid[0].with_failures_cleared(), run_id="r", at=NOON
    )
    found = kept.records.parked(max_paid=9, max_unpaid=9)
    assert (found.orders, [o.number for o in found.unpaid]) == (3, [2, 3])


def test_what_is_owed_is_listed_by_whether_its_claim_is_on_its_way(kept: Kept) -> None:
    orders = processing(kept.store, 1, 2, 3, 4)
    claimed, _, parked, failed = (step(kept.store, o, Fact.PAID) for o in orders)
    after = claimed.after(Fact.SENT, at=NOON, ref="task")
    change(kept.store, claimed, after, run_id="r", at=NOON)
    for order, then in ((parked, None), (failed, NOON)):
        ill = order.with_failure("no", failed=True, next_attempt_at=then)
        change(kept.store, order, ill, run_id="r", at=NOON)
    on_its_way = kept.records.owed(claimed=True, max_orders=9)
    assert [o.number for o in on_its_way] == [1]
    others = kept.records.owed(claimed=False, max_orders=9)
    assert [o.number for o in others] == [2, 4]
    assert [o.number for o in kept.records.owed(claimed=False, max_orders=1)] == [2]


def test_long_waits_are_counted_by_reason_without_failed_and_finished_orders(kept: Kept) -> None:
    later = NOON + timedelta(seconds=1)
    assert kept.records.long_waits(before=later, max_orders=9) == []
    first, second, other, silent, paid, failed = processing(kept.store, 1, 2, 3, 4, 5, 6)
    add(kept.store, an_order(7))
    step(kept.store, an_order(7), Fact.REFUSED)
    step(kept.store, paid, Fact.PAID)
    parked = failed.with_failure("no", failed=True, next_attempt_at=None)
    change(kept.store, failed, parked, run_id="r", at=NOON)
    for order, reason in ((first, "waiting: a"), (second, "waiting: a"), (other, "waiting: b")):
        change(kept.store, order, order.with_wait_reason(reason, at=NOON), run_id="r", at=NOON)
    found = kept.records.long_waits(before=later, max_orders=9)
    assert [(wait.reason, wait.orders, wait.oldest) for wait in found] == [
        ("waiting: a", 2, first.key),
        ("waiting: b", 1, other.key),
        (None, 1, silent.key),
    ]
    assert found[0] == LongWait(
        reason="waiting: a", orders=2, oldest=first.key, since=first.changed_at
    )
    (some,) = kept.records.long_waits(before=later, max_orders=1)  # all are in one state
    assert some.orders == 1
    assert kept.records.long_waits(before=first.changed_at, max_orders=9) == []
