"""Claims that go with their transfers, when these are replaced, cancelled, late or reorged out."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import finish
from tests.bridge.transfer_pairs import fails_when_mined, pair, pairing, rows, sent
from tests.bridge.transfers import GWEI


@pytest.fixture
def harness() -> BridgeHarness:
    return pairing()


def test_a_price_that_rises_replaces_both_at_their_nonces(harness: BridgeHarness) -> None:
    (key,) = sent(harness)
    harness.chain.base_fee = 5 * GWEI
    harness.replace_stuck()
    harness.mine()
    assert sorted(rows(harness, key), key=lambda row: row[1]) == [
        ("transfer", 2, TxState.REPLACED),
        ("transfer", 2, TxState.MINED),
        ("repay", 3, TxState.REPLACED),
        ("repay", 3, TxState.MINED),
    ]
    assert harness.order(key).status is Status.PROVED
    finish(harness)


def test_a_transfer_that_alone_is_replaced_keeps_its_claim(harness: BridgeHarness) -> None:
    (key,) = sent(harness)
    harness.chain.max_per_block = 0
    harness.later(61)
    harness.replace_stuck()
    assert [purpose for purpose, *_ in rows(harness, key)] == ["transfer", "repay", "transfer"]
    harness.chain.max_per_block = None
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.claim_tx) == (
        Status.PROVED,
        harness.store.outbox.of(key)[1].hash,
    )
    finish(harness)


def test_a_transfer_that_is_cancelled_takes_its_claim_with_it(harness: BridgeHarness) -> None:
    first, second = sent(harness, 2, fee=8 * 10**14)
    harness.chain.base_fee = 10 * GWEI
    harness.later(61)
    harness.replace_stuck()
    states = [row for row in harness.transactions() if row.purpose == "cancel"]
    assert [row.nonce for row in states][:2] == [2, 3]
    for _ in range(3):
        harness.mine()
        harness.later(61)
        harness.replace_stuck()
    assert {harness.order(key).status for key in (first, second)} == {Status.PROCESSING}
    assert not any(row.state is TxState.REVERTED for row in harness.transactions())
    harness.chain.base_fee = GWEI
    harness.later(1000)
    finish(harness)


def test_an_order_that_the_l2_takes_back_is_neither_paid_nor_claimed(
    harness: BridgeHarness,
) -> None:
    (key,) = sent(harness)
    harness.l2.reorg(1)
    harness.l2.mine(12)
    steps.backfill(harness.bridge, harness.run)
    assert harness.order(key).is_parked
    harness.replace_stuck()
    harness.mine()
    assert sorted(rows(harness, key), key=lambda row: row[1]) == [
        ("transfer", 2, TxState.REPLACED),
        ("cancel", 2, TxState.MINED),
        ("repay", 3, TxState.REPLACED),
        ("cancel", 3, TxState.MINED),
    ]


def test_a_claim_is_not_sent_late_without_its_transfer(harness: BridgeHarness) -> None:
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    (key,) = sent(harness)
    harness.later(LATE_SECONDS + 1)
    harness.l2.reorg(len(harness.l2.sealed) - 1)  # nobody owes us for it any more
    harness.chain.broadcast_fault = None
    harness.look()
    assert harness.chain.pool == {}
    assert any("its transfer is not" in line for line in harness.logged)
    harness.replace_stuck()
    harness.mine()
    assert harness.paid(key) == 0
    assert {row.state for row in harness.store.outbox.of(key)} <= {
        TxState.REPLACED,
        TxState.MINED,  # the cancellations
    }


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_reorg_takes_the_claim_back_with_its_transfer_or_alone(
    harness: BridgeHarness, depth: int, one_by_one: bool, keep: bool
) -> None:
    (key,) = sent(harness)
    harness.chain.max_per_block = 1 if one_by_one else None
    harness.mine()
    harness.mine()
    harness.chain.max_per_block = None
    harness.chain.reorg(depth, keep=keep)
    harness.look()
    if depth == 1 and not one_by_one:  # the block of both stands
        assert harness.order(key).status is Status.PROVED
    elif depth == 1:
        assert harness.order(key).status in (Status.FULFILLED, Status.PROVING)
    else:
        assert harness.order(key).status is Status.TRANSFERRING
    assert harness.order(key).claim_tx == pair(harness, key)[1].hash
    finish(harness)


def test_a_reorg_between_the_two_answers_loses_neither(harness: BridgeHarness) -> None:
    """The transfer's receipt is of a block that is gone when the claim's is asked for."""
    (key,) = sent(harness)
    harness.chain.max_per_block = 1
    harness.chain.mine()
    steps.process_receipts(harness.bridge, harness.run)
    harness.chain.reorg(1, keep=False)
    harness.chain.max_per_block = None
    harness.look()
    assert harness.order(key).status is Status.TRANSFERRING
    finish(harness)


def test_a_revert_that_a_reorg_turns_into_a_payment_is_claimed_once(
    harness: BridgeHarness,
) -> None:
    (key,) = sent(harness)
    fails_when_mined(harness, b'"transfer"')
    harness.mine()
    assert harness.order(key).status is Status.PROCESSING
    harness.chain.allow()
    harness.chain.reorg(1)
    harness.look()
    harness.mine()
    finish(harness)
    claims = [t for t in harness.chain.executed(succeeded=True) if b'"claim"' in t.call.data]
    assert len(claims) == 2  # the other one was the first order's
