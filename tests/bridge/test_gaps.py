"""Nonces of the wallet that another program used, lost, or waits with."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from tests.bridge.transfers import ends, rows, transferring
from tests.bridge.world import World
from tests.ports.chain_memory import WALLET


def test_a_nonce_that_another_program_lost_is_filled(world: World) -> None:
    world.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    (key,) = transferring(world)
    assert rows(world, key)[0].nonce == 1
    world.chain.reorg(1, keep=False)
    assert world.chain.nonce(pending=False) == 0
    world.mine()
    assert world.chain.executed() == []
    world.later(61)
    world.replace_stuck()
    assert [t.purpose for t in world.store.transactions("nonce:0")] == ["cancel"]
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    assert world.store.in_flight() == []
    assert len(rows(world, key)) == 1


def test_a_nonce_lost_to_another_program_and_then_to_nobody_is_filled(world: World) -> None:
    first = transferring(world)[0]
    world.chain.pool.clear()
    world.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    world.look()
    assert ends(world, first) == [("transfer", 0, TxState.LOST)]
    world.chain.reorg(1, keep=False)
    steps.reprocess(world.bridge, [first], world.run)
    world.later(61)
    world.replace_stuck()
    world.mine()
    assert world.order(first).status is Status.FULFILLED
    assert world.paid(first) == 1
    assert [t.nonce for t in world.chain.executed()] == [0, 1]


def test_another_program_that_waits_at_a_nonce_may_win_it(world: World) -> None:
    call = Call(to=WALLET, data=b"", value=Wei(1))
    fees = world.chain.fees()
    theirs = world.chain.sign(
        call, nonce=0, gas=world.bridge.origins["zksync"].claim_gas, fees=fees
    )
    world.chain.broadcast([theirs.raw])
    (key,) = transferring(world)
    world.chain.most_per_block = 0
    world.later(61)
    world.replace_stuck()
    assert world.chain.pool[0].hash == theirs.hash  # ours offers no more for it
    world.chain.most_per_block = None
    world.mine()
    assert ends(world, "nonce:0") == [("cancel", 0, TxState.LOST)]
    assert world.order(key).status is Status.FULFILLED


def test_a_replacement_that_is_mined_while_receipts_are_read_is_no_loss(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    before = world.store.in_flight()
    world.later(61)
    world.replace_stuck()
    world.chain.mine()
    with monkeypatch.context() as patch:  # a look that began before the replacement
        patch.setattr(world.store, "in_flight", lambda: before)
        steps.settle_receipts(world.bridge, world.run)
    assert world.order(key).status is Status.TRANSFERRING
    steps.settle_receipts(world.bridge, world.run)
    assert world.order(key).status is Status.FULFILLED
    assert [row.state for row in world.store.transactions(key)] == [TxState.REPLACED, TxState.MINED]
