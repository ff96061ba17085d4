"""Transactions that are stuck: what takes their place, at their own nonce."""

from itertools import pairwise

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI, ends, rows, transferring
from tests.ports.chain_memory import ETH
from tests.ports.store_writes import change


def test_what_is_young_and_can_be_mined_is_left_alone(harness: BridgeHarness) -> None:
    transferring(harness)
    harness.later(60)
    assert steps.stuck_transactions(harness.bridge) == []
    steps.replace_stuck(harness.bridge, harness.run)
    assert len(harness.store.outbox.in_flight()) == 1


def test_a_rising_base_fee_is_followed_at_the_same_nonce(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.chain.base_fee = 5 * GWEI
    harness.mine()
    assert harness.order(key).status is Status.TRANSFERRING
    harness.replace_stuck()
    harness.mine()
    first, second = rows(harness, key)
    assert (first.nonce, first.state) == (second.nonce, TxState.REPLACED)
    assert (second.bump, second.state, second.attempt) == (1, TxState.MINED, first.attempt)
    order = harness.order(key)
    assert (order.status, order.transfer_tx) == (Status.FULFILLED, second.hash)
    assert harness.paid(key) == 1
    assert harness.store.errors.of(key) == []


def test_each_replacement_outbids_the_one_before(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.chain.max_per_block = 0  # nobody takes it, whatever it offers
    for _ in range(4):
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
    fees = [t.fees for t in rows(harness, key)]
    assert len(fees) == 5
    for old, new in pairwise(fees):
        assert 8 * new.ceiling >= 9 * old.ceiling
        assert 8 * new.priority >= 9 * old.priority
    assert list(harness.chain.pool) == [0]
    harness.chain.max_per_block = None
    harness.mine()
    assert harness.order(key).transfer_tx == rows(harness, key)[-1].hash
    assert [t.state for t in rows(harness, key)] == [TxState.REPLACED] * 4 + [TxState.MINED]


def test_an_older_one_may_be_mined_after_all(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.later(61)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.replace_stuck()
    harness.chain.broadcast_fault = None
    harness.mine()
    assert ends(harness, key) == [("transfer", 0, TxState.MINED), ("transfer", 1, TxState.REPLACED)]
    assert harness.order(key).transfer_tx == rows(harness, key)[0].hash
    harness.later(1000)
    harness.look()
    assert harness.paid(key) == 1


def test_a_whole_burst_is_replaced_and_mined_together(harness: BridgeHarness) -> None:
    keys = transferring(harness, 20)
    harness.chain.base_fee = 4 * GWEI
    harness.replace_stuck()
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert [harness.paid(key) for key in keys] == [1] * 20
    assert [t.nonce for t in harness.chain.executed()] == list(range(20))


def test_only_what_blocks_the_lane_is_replaced(harness: BridgeHarness) -> None:
    (first,) = transferring(harness)
    harness.chain.base_fee = 4 * GWEI
    second = harness.set_and_detect()[0]
    harness.transfer([second])
    harness.replace_stuck()
    assert [len(rows(harness, key)) for key in (first, second)] == [2, 1]
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}


def test_death_between_storing_and_sending_a_replacement_loses_nothing(
    harness: BridgeHarness,
) -> None:
    (key,) = transferring(harness)
    harness.chain.picky = True
    harness.chain.base_fee = 4 * GWEI
    harness.chain.pool.clear()
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.replace_stuck()
    harness.chain.broadcast_fault = None
    assert harness.chain.pool == {}
    (error,) = harness.store.errors.of(key)
    assert (error.fault.step, error.fault.kind, error.fault.message) == (
        "broadcast",
        "RpcUnavailable",
        "gone",
    )
    harness.look()  # the newest is sent again, and only that one
    assert harness.chain.pool[0].hash == rows(harness, key)[1].hash
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED


def test_no_second_transfer_is_signed_while_one_is_undecided(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    order = harness.order(key)
    bug = order.__class__.with_failures_cleared(order)
    object.__setattr__(bug, "status", Status.PROCESSING)
    object.__setattr__(bug, "attempt", 9)
    change(harness.store, order, bug, run_id="bug", at=harness.now)
    harness.transfer([key])
    assert len(rows(harness, key)) == 1
    assert harness.logged[-1].endswith("an earlier transfer is undecided, no other is signed")


def test_an_order_named_twice_is_paid_once(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key, key])
    assert len(rows(harness, key)) == 1
    assert harness.order(key).status is Status.TRANSFERRING


def test_a_dry_run_replaces_nothing(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.rules(dry_run=True)
    harness.later(61)
    assert steps.stuck_transactions(harness.bridge) == []
    steps.replace_stuck(harness.bridge, harness.run)
    assert len(rows(harness, key)) == 1


def priced_out(harness: BridgeHarness, count: int = 1) -> list[str]:
    keys = transferring(harness, count)
    harness.chain.base_fee = 4 * GWEI
    return keys


def test_a_replacement_may_take_the_last_wei_of_the_wallet(harness: BridgeHarness) -> None:
    (key,) = priced_out(harness)
    harness.replace_stuck()
    needed = rows(harness, key)[-1].max_cost
    for missing, replaced in ((0, True), (1, False)):
        poor = BridgeHarness()
        (key,) = priced_out(poor)
        poor.chain.endowment = needed - missing
        poor.replace_stuck()
        assert (len(rows(poor, key)) == 2) == replaced


def test_replacements_take_together_no_more_than_the_wallet_has(harness: BridgeHarness) -> None:
    keys = priced_out(harness, 2)
    harness.replace_stuck()
    first, second = ([row.max_cost for row in rows(harness, key)] for key in keys)
    for missing, replaced in ((0, [2, 2]), (1, [2, 1])):
        poor = BridgeHarness()
        keys = priced_out(poor, 2)
        poor.chain.endowment = first[1] + second[1] - missing
        poor.replace_stuck()
        assert [len(rows(poor, key)) for key in keys] == replaced
    assert "nonce 1 is not replaced, it needs" in poor.logged[-1]


def test_replacements_count_only_once_against_the_funds(harness: BridgeHarness) -> None:
    transferring(harness, amount=10**17)
    harness.chain.base_fee = 4 * GWEI
    harness.chain.endowment = ETH // 4
    harness.replace_stuck()
    (second,) = harness.set_and_detect(amount=10**17)
    harness.transfer([second])
    assert harness.order(second).status is Status.TRANSFERRING
