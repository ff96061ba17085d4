"""Claims that stay in the lane while L1 has taken their transfers back."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call, TxState
from tests.bridge.test_l1_reorgs import GWEI, finish, fulfilled, proved
from tests.bridge.world import World

ANYBODY = Call(to=Address("0x00000000000000000000000000000000000000Fe"), data=b"", value=Wei(1))


def unmine_transfer(world: World, key: str) -> None:
    """Let the transfer alone look taken back, as to a node that is in two minds."""
    row, order = world.store.transactions(key)[0], world.order(key)
    back = order.after(Fact.UNMINED, at=world.now)
    world.store.unmine(row, order, back, run_id="run-0", at=world.now)


def decide_claims_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read receipts while another run changes the order: its transfer is decided later."""
    decide = world.store.decide

    def lose(outcome, *args, **kwargs):  # type: ignore[no-untyped-def]
        if outcome.transaction.purpose == "transfer":
            raise LostRace("changed by somebody else")
        decide(outcome, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "decide", lose)
        steps.settle_receipts(world.bridge, world.run)


def test_a_claim_that_is_mined_already_is_one_step(world: World) -> None:
    key = proved(world)
    unmine_transfer(world, key)
    steps.settle_receipts(world.bridge, world.run)
    assert world.order(key).status is Status.FULFILLED
    version = world.order(key).version
    world.repay([key])
    order = world.order(key)
    # between two steps a run could die, and nobody would look at a mined claim again
    assert (order.status, order.version) == (Status.PROVED, version + 1)
    finish(world)


@pytest.mark.parametrize("state", [TxState.REVERTED, TxState.LOST])
def test_a_claim_that_failed_behind_its_transfer_is_made_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, state: TxState
) -> None:
    (key,) = fulfilled(world)
    world.repay([key])
    unmine_transfer(world, key)
    if state is TxState.REVERTED:
        world.chain.refuse(lambda call: call.value < 10**16, "no", foreseen=False)
        world.chain.mine()
    else:
        world.chain.elsewhere(ANYBODY)
    decide_claims_alone(world, monkeypatch)
    world.chain.allow()
    assert world.order(key).status is Status.TRANSFERRING
    assert world.store.transactions(key)[1].state is state
    steps.settle_receipts(world.bridge, world.run)
    other = world.set_and_detect()
    world.transfer(other)
    world.mine()
    world.repay([key, *other])
    assert {world.order(k).status for k in (key, *other)} == {Status.PROVING}
    assert world.order(key).attempt == 2


def test_a_claim_that_goes_out_again_goes_by_another_name(world: World) -> None:
    key = proved(world)
    world.l2.known[key] = Progress(ref="message 0xabc")
    world.settle()
    assert world.order(key).claim_ref == "message 0xabc"
    unmine_transfer(world, key)
    steps.settle_receipts(world.bridge, world.run)
    world.repay([key])
    assert world.order(key).status is Status.PROVED
    assert world.order(key).claim_ref is None


def test_a_transfer_is_not_judged_by_the_claim_behind_it(world: World) -> None:
    (key,) = fulfilled(world)
    world.repay([key])
    world.chain.reorg(1, keep=False)
    world.look()
    assert [t.purpose for t in world.store.in_flight()] == ["transfer", "repay"]
    world.chain.base_fee = 3 * GWEI
    world.later(61)
    world.replace_stuck()
    new = [t.purpose for t in world.store.transactions(key) if t.bump]
    assert new == ["transfer", "repay"]
    finish(world)


def test_transfer_and_claim_of_one_attempt_are_both_cancelled(world: World) -> None:
    (key,) = world.set_and_detect(fee=8 * 10**14)
    world.transfer([key])
    (transfer,) = world.store.transactions(key)
    world.chain.base_fee = 10 * GWEI
    world.later(61)
    world.replace_stuck()
    world.chain.base_fee = GWEI
    world.chain.pool.clear()
    world.chain.broadcast([transfer.raw])  # it wins against its cancellation
    world.mine()
    world.repay([key])
    claim = world.store.transactions(key)[-1]
    world.chain.reorg(1, keep=False)
    world.look()
    world.chain.refuse(lambda call: call.value >= 10**16, "no", foreseen=False)
    world.chain.pool.clear()
    world.chain.broadcast([transfer.raw])  # and reverts the next time
    world.mine()
    assert world.order(key).status is Status.PROCESSING
    world.chain.base_fee = 20 * GWEI
    world.later(61)
    world.replace_stuck()
    rows = world.store.transactions(key)
    assert [t.purpose for t in rows] == ["transfer", "cancel", "repay", "cancel"]
    assert rows[-1].nonce == claim.nonce
    world.mine()
    assert world.store.in_flight() == []
