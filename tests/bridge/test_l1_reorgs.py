"""L1 takes back what it has mined: orders go back with it, and on again."""

from itertools import pairwise

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import NEXT, Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from tests.bridge.world import World
from tests.ports.chain_memory import WALLET

GWEI = 10**9


def fulfilled(world: World, count: int = 1, **order: object) -> list[str]:
    keys = world.set_and_detect(count, **order)
    world.transfer(keys)
    world.mine()
    assert {world.order(key).status for key in keys} == {Status.FULFILLED}
    return keys


def proved(world: World) -> str:
    (key,) = fulfilled(world)
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED
    return key


def completed(world: World) -> str:
    key = proved(world)
    world.l2.deliver()
    assert world.settle() == [key]
    return key


def check(world: World) -> None:
    """Every order is paid once and completed, by steps that the table has."""
    for key in world.statuses():
        assert world.order(key).status is Status.COMPLETED
        assert world.paid(key) == 1
        way = [entry.after for entry in world.store.history(key)]
        for before, after in pairwise(way):
            assert before is after or after in {to for (at, _), to in NEXT.items() if at is before}
    assert world.store.in_flight() == []
    assert [t.nonce for t in world.chain.executed()] == list(range(len(world.chain.executed())))


def finish(world: World) -> None:
    """Let everything come to its end."""
    for _ in range(8):
        world.look()
        world.later(100)
        keys = [*world.statuses()]
        steps.advance(world.bridge, [*steps.retry(world.bridge, world.run), *keys], world.run)
        world.replace_stuck()
        world.mine()
        world.l2.deliver()
        world.settle()
    check(world)


def test_nothing_happens_while_nothing_is_taken_back(world: World) -> None:
    key = completed(world)
    history = world.store.history(key)
    world.chain.mine(5)
    world.look()
    assert world.store.history(key) == history


@pytest.mark.parametrize("keep", [True, False])
def test_a_transfer_taken_back_is_sent_again_with_the_same_bytes(world: World, keep: bool) -> None:
    keys = fulfilled(world, 3)
    hashes = [world.order(key).transfer_tx for key in keys]
    world.chain.reorg(1, keep=keep)
    world.look()
    assert set(world.statuses().values()) == {Status.TRANSFERRING}
    assert {e.fault.kind for key in keys for e in world.store.errors(key)} == {"TakenBack"}
    assert [t.hash for t in world.chain.pool.values()] == hashes
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert [world.order(key).transfer_tx for key in keys] == hashes
    finish(world)


def test_a_transfer_that_moved_to_another_block_changes_no_order(world: World) -> None:
    (key,) = fulfilled(world)
    history = world.store.history(key)
    world.chain.reorg(1)
    world.chain.mine()
    world.look()
    assert world.store.history(key) == history
    (row,) = world.store.transactions(key)
    assert row.block == world.chain.head()
    finish(world)


def test_a_claim_taken_back_is_sent_again(world: World) -> None:
    key = proved(world)
    world.chain.reorg(1, keep=False)
    world.look()
    assert world.order(key).status is Status.PROVING
    world.mine()
    assert world.order(key).status is Status.PROVED
    finish(world)


def test_a_completed_order_whose_claim_was_taken_back_is_completed_again(world: World) -> None:
    key = completed(world)
    world.chain.reorg(1, keep=False)
    world.look()
    assert world.order(key).status is Status.PROVING
    world.mine()
    assert world.settle() == [key]
    check(world)


@pytest.mark.parametrize("stage", [proved, completed])
def test_transfer_and_claim_taken_back_together(world: World, stage: object) -> None:
    key = stage(world)  # type: ignore[operator]
    world.chain.reorg(2, keep=False)
    world.look()
    assert world.order(key).status is Status.TRANSFERRING
    assert sorted(world.chain.pool) == [0, 1]
    world.mine()
    # both are mined in one block, the claim behind its transfer
    assert world.order(key).status is Status.PROVED
    assert len(world.store.transactions(key)) == 2
    finish(world)


def test_a_transfer_taken_back_while_its_claim_waits(world: World) -> None:
    (key,) = fulfilled(world)
    world.repay([key])
    claim = world.order(key).claim_tx
    world.chain.reorg(1, keep=False)
    world.look()
    assert world.order(key).status is Status.TRANSFERRING
    world.chain.most_per_block = 1
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    world.repay([key])  # no second claim: the first is still in the lane
    assert (world.order(key).status, world.order(key).claim_tx) == (Status.PROVING, claim)
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert len(world.store.transactions(key)) == 2
    finish(world)


def test_a_revert_taken_back_may_pay_the_next_time(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    world.transfer([key])
    world.mine()
    assert world.order(key).status is Status.PROCESSING
    world.chain.allow()
    world.chain.reorg(1)
    world.look()
    order = world.order(key)
    assert (order.status, order.failed) == (Status.TRANSFERRING, False)
    world.transfer([key])
    assert len(world.store.transactions(key)) == 1
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    finish(world)


def test_of_two_attempts_one_pays_when_the_first_comes_back(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    world.transfer([key])
    world.mine()
    world.chain.allow()
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    assert [t.nonce for t in world.store.transactions(key)] == [0, 1]
    world.chain.reorg(1)
    world.look()
    world.replace_stuck()  # the first is of no use any more: its nonce goes to nothing
    assert [t.purpose for t in world.store.transactions(key)] == ["transfer", "transfer", "cancel"]
    world.mine()
    assert world.paid(key) == 1
    assert world.order(key).transfer_tx == world.store.transactions(key)[1].hash
    finish(world)


def test_the_first_of_two_attempts_counts_when_it_is_faster(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    world.transfer([key])
    world.mine()
    world.chain.allow()
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    world.chain.reorg(1)
    world.look()
    world.mine()
    assert world.paid(key) == 1
    assert world.order(key).transfer_tx == world.store.transactions(key)[0].hash
    assert world.order(key).status is Status.FULFILLED
    finish(world)


def test_a_cancellation_taken_back_gives_the_transfer_another_chance(world: World) -> None:
    (key,) = world.set_and_detect(fee=8 * 10**14)
    world.transfer([key])
    world.chain.base_fee = 10 * GWEI
    world.later(61)
    world.replace_stuck()
    first = world.store.transactions(key)[0]
    world.mine()
    assert world.order(key).status is Status.PROCESSING
    world.chain.base_fee = GWEI
    world.chain.reorg(1, keep=False)
    world.chain.broadcast([first.raw])  # a node that never saw the cancellation
    world.look()
    assert world.order(key).status is Status.TRANSFERRING
    assert [t.state for t in world.store.transactions(key)] == [TxState.STORED] * 2
    finish(world)


def test_a_replacement_taken_back_may_lose_to_the_first(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.later(61)
    world.replace_stuck()
    world.mine()
    first, second = world.store.transactions(key)
    assert world.order(key).transfer_tx == second.hash
    world.chain.reorg(1, keep=False)
    world.chain.broadcast([first.raw])
    world.chain.mine()
    world.look()
    assert world.order(key).transfer_tx == first.hash
    assert world.order(key).status is Status.FULFILLED
    finish(world)


def test_a_node_that_is_behind_takes_nothing_back(world: World) -> None:
    key = proved(world)
    history = world.store.history(key)
    blocks, world.chain.blocks = world.chain.blocks, world.chain.blocks[:-1]
    world.look()
    assert world.store.history(key) == history
    world.chain.blocks = blocks
    world.look()
    assert world.store.history(key) == history


def test_what_is_final_is_not_asked_for_again(world: World) -> None:
    world.rules(l1_finality_blocks=3)
    key = proved(world)
    world.chain.mine(4)
    asked: list[object] = []
    receipts = world.chain.receipts
    world.chain.receipts = lambda hashes: asked.extend(hashes) or receipts(hashes)  # type: ignore[func-returns-value, method-assign, assignment]
    steps.recheck(world.bridge, world.run)
    assert asked == []
    assert world.order(key).status is Status.PROVED


def test_a_filled_gap_taken_back_is_filled_again(world: World) -> None:
    world.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    world.transfer(world.set_and_detect())
    world.chain.reorg(1, keep=False)
    world.later(61)
    world.replace_stuck()
    world.mine()
    world.chain.reorg(1, keep=False)
    world.look()
    assert [t.nonce for t in world.store.in_flight()] == [0, 1]
    finish(world)
