"""Nonces of the wallet that another program used, lost, or waits with."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.nonces import gap_subject
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import ends, rows, transferring
from tests.ports.chain_memory import WALLET


def test_a_nonce_that_another_program_lost_is_filled(harness: BridgeHarness) -> None:
    harness.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    (key,) = transferring(harness)
    assert rows(harness, key)[0].nonce == 1
    harness.chain.reorg(1, keep=False)
    assert harness.chain.nonce(pending=False) == 0
    harness.mine()
    assert harness.chain.executed() == []
    harness.later(61)
    harness.replace_stuck()
    assert [t.purpose for t in harness.store.outbox.of(gap_subject(WALLET, 0))] == ["cancel"]
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    assert harness.store.outbox.in_flight() == []
    assert len(rows(harness, key)) == 1


def test_a_nonce_lost_to_another_program_and_then_to_nobody_is_filled(
    harness: BridgeHarness,
) -> None:
    first = transferring(harness)[0]
    harness.chain.pool.clear()
    harness.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    harness.look()
    assert ends(harness, first) == [("transfer", 0, TxState.LOST)]
    harness.chain.reorg(1, keep=False)
    steps.reprocess(harness.bridge, [first], harness.run)
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    assert harness.order(first).status is Status.FULFILLED
    assert harness.paid(first) == 1
    assert [t.nonce for t in harness.chain.executed()] == [0, 1]


def test_another_program_that_waits_at_a_nonce_may_win_it(harness: BridgeHarness) -> None:
    call = Call(to=WALLET, data=b"", value=Wei(1))
    fees = harness.chain.fees()
    theirs = harness.chain.sign(
        call, nonce=0, gas=harness.bridge.origins["zksync"].claim_gas, fees=fees
    )
    harness.chain.broadcast([theirs.raw])
    (key,) = transferring(harness)
    harness.chain.max_per_block = 0
    harness.later(61)
    harness.replace_stuck()
    assert harness.chain.pool[0].hash == theirs.hash  # ours offers no more for it
    harness.chain.max_per_block = None
    harness.mine()
    assert ends(harness, gap_subject(WALLET, 0)) == [("cancel", 0, TxState.LOST)]
    assert harness.order(key).status is Status.FULFILLED


def test_a_replacement_that_is_mined_while_receipts_are_read_is_no_loss(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    before = harness.store.outbox.in_flight()
    harness.later(61)
    harness.replace_stuck()
    harness.chain.mine()
    with monkeypatch.context() as patch:  # a look that began before the replacement
        patch.setattr(harness.store.outbox, "in_flight", lambda: before)
        steps.process_receipts(harness.bridge, harness.run)
    assert harness.order(key).status is Status.TRANSFERRING
    steps.process_receipts(harness.bridge, harness.run)
    assert harness.order(key).status is Status.FULFILLED
    assert [row.state for row in harness.store.outbox.of(key)] == [TxState.REPLACED, TxState.MINED]
