"""Which paid orders are claimed in one transaction (MMBOT_CLAIM=batched)."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.core.errors import SimulationReverted
from mmbot_pipelines.core.money import Wei
from tests.bridge.claim_batches import claims, collecting, due, finish, names, paid, statuses
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    return collecting()


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
