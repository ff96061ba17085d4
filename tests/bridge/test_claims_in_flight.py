"""Claims that stay in the lane while L1 has taken their transfers back."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.adapters.db.outbox import PgOutbox
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import ConcurrentUpdate, RpcUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call, Outcome, TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import GWEI, finish, fulfilled, proved
from tests.ports.store_writes import reopen

ANYBODY = Call(to=Address("0x00000000000000000000000000000000000000Fe"), data=b"", value=Wei(1))


def reorg_transfer(harness: BridgeHarness, key: str) -> None:
    """Reopen the transfer alone, as if a node showed it reorged out."""
    row, order = harness.store.outbox.of(key)[0], harness.order(key)
    back = order.after(Fact.TRANSFER_REORGED, at=harness.now)
    reopen(harness.store, row, order, back, run_id="run-0", at=harness.now)


def decide_claims_alone(harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read receipts while another run changes the order: its transfer is decided later."""
    decide = PgOutbox.decide

    def lose(outbox: PgOutbox, decided: Sequence[Outcome]) -> None:
        if any(outcome.transaction.purpose == "transfer" for outcome in decided):
            raise ConcurrentUpdate("changed by somebody else")
        decide(outbox, decided)

    with monkeypatch.context() as patch:
        patch.setattr(PgOutbox, "decide", lose)
        steps.process_receipts(harness.bridge, harness.run)


def test_a_claim_that_is_mined_already_is_one_step(harness: BridgeHarness) -> None:
    key = proved(harness)
    reorg_transfer(harness, key)
    steps.process_receipts(harness.bridge, harness.run)
    assert harness.order(key).status is Status.FULFILLED
    version = harness.order(key).version
    harness.repay([key])
    order = harness.order(key)
    # between two steps a run could die, and nobody would look at a mined claim again
    assert (order.status, order.version) == (Status.PROVED, version + 1)
    finish(harness)


@pytest.mark.parametrize("state", [TxState.REVERTED, TxState.LOST])
def test_a_claim_that_failed_behind_its_transfer_is_made_again(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch, state: TxState
) -> None:
    (key,) = fulfilled(harness)
    harness.repay([key])
    reorg_transfer(harness, key)
    if state is TxState.REVERTED:
        harness.chain.refuse(lambda call: call.value < 10**16, "no", foreseen=False)
        harness.chain.mine()
    else:
        harness.chain.elsewhere(ANYBODY)
    decide_claims_alone(harness, monkeypatch)
    harness.chain.allow()
    assert harness.order(key).status is Status.TRANSFERRING
    assert harness.store.outbox.of(key)[1].state is state
    steps.process_receipts(harness.bridge, harness.run)
    other = harness.set_and_detect()
    harness.transfer(other)
    harness.mine()
    harness.chain.fault = RpcUnavailable("gone")
    harness.failing(lambda: harness.repay([key]))
    assert harness.order(key).reason == f"its claim {harness.transactions()[1].hash} is {state}"
    harness.chain.fault = None
    harness.repay([key, *other])
    assert {harness.order(k).status for k in (key, *other)} == {Status.PROVING}
    assert harness.order(key).attempt == 2


def test_a_claim_that_goes_out_again_goes_by_another_name(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.l2.known[key] = Progress(ref="message 0xabc")
    harness.settle()
    assert harness.order(key).claim_ref == "message 0xabc"
    reorg_transfer(harness, key)
    steps.process_receipts(harness.bridge, harness.run)
    harness.repay([key])
    assert harness.order(key).status is Status.PROVED
    assert harness.order(key).claim_ref is None


def test_a_transfer_is_not_judged_by_the_claim_behind_it(harness: BridgeHarness) -> None:
    (key,) = fulfilled(harness)
    harness.repay([key])
    harness.chain.reorg(1, keep=False)
    harness.look()
    assert [t.purpose for t in harness.store.outbox.in_flight()] == ["transfer", "repay"]
    harness.chain.base_fee = 3 * GWEI
    harness.later(61)
    harness.replace_stuck()
    new = [t.purpose for t in harness.store.outbox.of(key) if t.bump]
    assert new == ["transfer", "repay"]
    finish(harness)


def test_transfer_and_claim_of_one_attempt_are_both_cancelled(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(fee=8 * 10**14)
    harness.transfer([key])
    (transfer,) = harness.store.outbox.of(key)
    harness.chain.base_fee = 10 * GWEI
    harness.later(61)
    harness.replace_stuck()
    harness.chain.base_fee = GWEI
    harness.chain.pool.clear()
    harness.chain.broadcast([transfer.raw])  # it wins against its cancellation
    harness.mine()
    harness.repay([key])
    claim = harness.store.outbox.of(key)[-1]
    harness.chain.reorg(1, keep=False)
    harness.look()
    harness.chain.refuse(lambda call: call.value >= 10**16, "no", foreseen=False)
    harness.chain.pool.clear()
    harness.chain.broadcast([transfer.raw])  # and reverts the next time
    harness.mine()
    assert harness.order(key).status is Status.PROCESSING
    harness.chain.base_fee = 20 * GWEI
    harness.later(61)
    harness.replace_stuck()
    rows = harness.store.outbox.of(key)
    assert [t.purpose for t in rows] == ["transfer", "cancel", "repay", "cancel"]
    assert rows[-1].nonce == claim.nonce
    harness.mine()
    assert harness.store.outbox.in_flight() == []
