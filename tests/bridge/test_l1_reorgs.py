"""Reorgs of L1: orders return to an earlier state and continue."""

from itertools import pairwise

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import WALLET

GWEI = 10**9


def fulfilled(harness: BridgeHarness, count: int = 1, **order: object) -> list[str]:
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    return keys


def proved(harness: BridgeHarness) -> str:
    (key,) = fulfilled(harness)
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    return key


def completed(harness: BridgeHarness) -> str:
    key = proved(harness)
    harness.l2.deliver()
    assert harness.settle() == [key]
    return key


def check(harness: BridgeHarness) -> None:
    """Every order is paid once and completed, by steps that the table has."""
    for key in harness.statuses():
        assert harness.order(key).status is Status.COMPLETED
        assert harness.paid(key) == 1
        way = [entry.after for entry in harness.store.orders.history(key)]
        for before, after in pairwise(way):
            assert before is after or after in {to for (at, _), to in NEXT.items() if at is before}
    assert harness.store.outbox.in_flight() == []
    assert [t.nonce for t in harness.chain.executed()] == list(range(len(harness.chain.executed())))


def finish(harness: BridgeHarness) -> None:
    """Let everything come to its end."""
    for _ in range(8):
        harness.look()
        harness.later(100)
        keys = [*harness.statuses()]
        steps.advance(
            harness.bridge, [*steps.retry(harness.bridge, harness.run), *keys], harness.run
        )
        harness.replace_stuck()
        harness.mine()
        harness.l2.deliver()
        harness.settle()
    check(harness)


def test_nothing_happens_without_a_reorg(harness: BridgeHarness) -> None:
    key = completed(harness)
    history = harness.store.orders.history(key)
    harness.chain.mine(5)
    harness.look()
    assert harness.store.orders.history(key) == history


@pytest.mark.parametrize("keep", [True, False])
def test_a_transfer_reorged_out_is_sent_again_with_the_same_bytes(
    harness: BridgeHarness, keep: bool
) -> None:
    keys = fulfilled(harness, 3)
    hashes = [harness.order(key).transfer_tx for key in keys]
    harness.chain.reorg(1, keep=keep)
    harness.look()
    assert set(harness.statuses().values()) == {Status.TRANSFERRING}
    assert {e.fault.kind for key in keys for e in harness.store.errors.of(key)} == {"Reorged"}
    assert [t.hash for t in harness.chain.pool.values()] == hashes
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert [harness.order(key).transfer_tx for key in keys] == hashes
    finish(harness)


def test_a_transfer_that_moved_to_another_block_changes_no_order(harness: BridgeHarness) -> None:
    (key,) = fulfilled(harness)
    history = harness.store.orders.history(key)
    harness.chain.reorg(1)
    harness.chain.mine()
    harness.look()
    assert harness.store.orders.history(key) == history
    (row,) = harness.store.outbox.of(key)
    assert row.block == harness.chain.head()
    finish(harness)


def test_a_claim_reorged_out_is_sent_again(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert harness.order(key).status is Status.PROVING
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    finish(harness)


def test_a_completed_order_whose_claim_was_reorged_out_is_completed_again(
    harness: BridgeHarness,
) -> None:
    key = completed(harness)
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert harness.order(key).status is Status.PROVING
    harness.mine()
    assert harness.settle() == [key]
    check(harness)


@pytest.mark.parametrize("ports", [proved, completed])
def test_transfer_and_claim_reorged_out_together(harness: BridgeHarness, ports: object) -> None:
    key = ports(harness)
    harness.chain.reorg(2, keep=False)
    harness.look()
    assert harness.order(key).status is Status.TRANSFERRING
    assert sorted(harness.chain.pool) == [0, 1]
    harness.mine()
    # both are mined in one block, the claim behind its transfer
    assert harness.order(key).status is Status.PROVED
    assert len(harness.store.outbox.of(key)) == 2
    finish(harness)


def test_a_transfer_reorged_out_while_its_claim_waits(harness: BridgeHarness) -> None:
    (key,) = fulfilled(harness)
    harness.repay([key])
    claim = harness.order(key).claim_tx
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert harness.order(key).status is Status.TRANSFERRING
    harness.chain.max_per_block = 1
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    harness.repay([key])  # no second claim: the first is still in the lane
    assert (harness.order(key).status, harness.order(key).claim_tx) == (Status.PROVING, claim)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert len(harness.store.outbox.of(key)) == 2
    finish(harness)


def test_a_revert_reorged_out_may_pay_the_next_time(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    harness.transfer([key])
    harness.mine()
    assert harness.order(key).status is Status.PROCESSING
    harness.chain.allow()
    harness.chain.reorg(1)
    harness.look()
    order = harness.order(key)
    assert (order.status, order.failed) == (Status.TRANSFERRING, False)
    harness.transfer([key])
    assert len(harness.store.outbox.of(key)) == 1
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    finish(harness)


def test_of_two_attempts_one_pays_when_the_first_comes_back(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    harness.transfer([key])
    harness.mine()
    harness.chain.allow()
    harness.later(1000)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    assert [t.nonce for t in harness.store.outbox.of(key)] == [0, 1]
    harness.chain.reorg(1)
    harness.look()
    harness.replace_stuck()  # the first is of no use any more: its nonce goes to nothing
    assert [t.purpose for t in harness.store.outbox.of(key)] == ["transfer", "transfer", "cancel"]
    harness.mine()
    assert harness.paid(key) == 1
    assert harness.order(key).transfer_tx == harness.store.outbox.of(key)[1].hash
    finish(harness)


def test_the_first_of_two_attempts_counts_when_it_is_faster(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    harness.transfer([key])
    harness.mine()
    harness.chain.allow()
    harness.later(1000)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    harness.chain.reorg(1)
    harness.look()
    harness.mine()
    assert harness.paid(key) == 1
    assert harness.order(key).transfer_tx == harness.store.outbox.of(key)[0].hash
    assert harness.order(key).status is Status.FULFILLED
    finish(harness)


def test_a_cancellation_reorged_out_gives_the_transfer_another_chance(
    harness: BridgeHarness,
) -> None:
    (key,) = harness.set_and_detect(fee=8 * 10**14)
    harness.transfer([key])
    harness.chain.base_fee = 10 * GWEI
    harness.later(61)
    harness.replace_stuck()
    first = harness.store.outbox.of(key)[0]
    harness.mine()
    assert harness.order(key).status is Status.PROCESSING
    harness.chain.base_fee = GWEI
    harness.chain.reorg(1, keep=False)
    harness.chain.broadcast([first.raw])  # a node that never saw the cancellation
    harness.look()
    assert harness.order(key).status is Status.TRANSFERRING
    assert [t.state for t in harness.store.outbox.of(key)] == [TxState.STORED] * 2
    finish(harness)


def test_a_replacement_reorged_out_may_lose_to_the_first(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    first, second = harness.store.outbox.of(key)
    assert harness.order(key).transfer_tx == second.hash
    harness.chain.reorg(1, keep=False)
    harness.chain.broadcast([first.raw])
    harness.chain.mine()
    harness.look()
    assert harness.order(key).transfer_tx == first.hash
    assert harness.order(key).status is Status.FULFILLED
    finish(harness)


def test_a_node_that_is_behind_takes_nothing_back(harness: BridgeHarness) -> None:
    key = proved(harness)
    history = harness.store.orders.history(key)
    blocks, harness.chain.blocks = harness.chain.blocks, harness.chain.blocks[:-1]
    harness.look()
    assert harness.store.orders.history(key) == history
    harness.chain.blocks = blocks
    harness.look()
    assert harness.store.orders.history(key) == history


def test_what_is_final_is_not_asked_for_again(harness: BridgeHarness) -> None:
    harness.rules(l1_finality_blocks=3)
    key = proved(harness)
    harness.chain.mine(4)
    asked: list[object] = []
    receipts = harness.chain.receipts
    harness.chain.receipts = lambda hashes: asked.extend(hashes) or receipts(hashes)
    steps.check_l1_reorgs(harness.bridge, harness.run)
    assert asked == []
    assert harness.order(key).status is Status.PROVED


def test_a_filled_gap_reorged_out_is_filled_again(harness: BridgeHarness) -> None:
    harness.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    harness.transfer(harness.set_and_detect())
    harness.chain.reorg(1, keep=False)
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert [t.nonce for t in harness.store.outbox.in_flight()] == [0, 1]
    finish(harness)
