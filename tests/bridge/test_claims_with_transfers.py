"""Claims that go out with their transfers, at the nonce behind them (MMBOT_CLAIM=with_transfer)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees, TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import finish
from tests.bridge.transfer_pairs import fails_when_mined, pair, pairing, rows, sent
from tests.ports.chain_memory import ChainMemory


@pytest.fixture
def harness() -> BridgeHarness:
    return pairing()


def test_one_block_has_both_and_no_run_is_asked_for(harness: BridgeHarness) -> None:
    first, second = sent(harness, 2)
    assert sorted(harness.chain.pool) == [2, 3, 4, 5]
    harness.mine()
    for key, nonce in ((first, 2), (second, 4)):
        transfer, claim = pair(harness, key)
        assert (transfer.nonce, claim.nonce) == (nonce, nonce + 1)
        assert transfer.block == claim.block
        order = harness.order(key)
        assert (order.status, order.claim_tx) == (Status.PROVED, claim.hash)
    assert steps.take_orders(harness.bridge, [Status.FULFILLED]) == []
    finish(harness)


def test_the_first_claim_of_an_origin_follows_its_transfer() -> None:
    harness = BridgeHarness()
    harness.rules(claim_with_transfer=True)
    (key,) = sent(harness)
    assert rows(harness, key) == [("transfer", 0, TxState.STORED)]
    finish(harness)


def test_a_proof_is_ordered_when_its_transfer_is_mined(harness: BridgeHarness) -> None:
    harness.l2.claim_gas, harness.l2.by_task = Gas(0), True
    (key,) = sent(harness)
    assert rows(harness, key) == [("transfer", 2, TxState.STORED)]
    assert harness.l2.tasks == []


def test_an_escrow_that_takes_no_claims_now_keeps_no_transfer_back(
    harness: BridgeHarness,
) -> None:
    def gone(*_: object) -> list[object]:
        raise RpcUnavailable("gone")

    harness.l2.claims, claims = gone, harness.l2.claims
    (key,) = sent(harness)
    assert rows(harness, key) == [("transfer", 2, TxState.STORED)]
    harness.l2.claims = claims
    finish(harness)


def test_a_message_whose_price_is_a_lie_is_not_paid_with_the_transfer(
    harness: BridgeHarness,
) -> None:
    claims = harness.l2.claims

    def dear(orders: Sequence[Order], fees: Fees) -> list[Call]:
        begun = [call for call in claims(orders, fees) if isinstance(call, Call)]
        return [replace(call, value=Wei(10**17)) for call in begun]

    harness.l2.claims = dear
    (key,) = sent(harness)
    assert rows(harness, key) == [("transfer", 2, TxState.STORED)]
    harness.l2.claims = claims
    finish(harness)


def test_a_transfer_that_reverts_takes_its_claim_down_with_it(harness: BridgeHarness) -> None:
    (key,) = sent(harness)
    fails_when_mined(harness, b'"transfer"')
    harness.mine()
    assert rows(harness, key) == [
        ("transfer", 2, TxState.REVERTED),
        ("repay", 3, TxState.REVERTED),
    ]
    order = harness.order(key)
    assert (order.status, order.attempt, order.claim_tx) == (Status.PROCESSING, 2, None)
    # One failure for both: nobody but the transfer's order was to blame for the claim's.
    assert [entry.fault.step for entry in harness.store.errors.of(key)] == ["transfer"]
    harness.chain.allow()
    harness.later(1000)
    harness.transfer([key])
    # The newest claim reverted, so this one is simulated before it goes out.
    assert rows(harness, key)[2:] == [("transfer", 4, TxState.STORED)]
    finish(harness)


def test_claims_go_with_transfers_again_once_one_is_mined(harness: BridgeHarness) -> None:
    first, second = sent(harness, 2)
    recipient = harness.order(first).number
    harness.chain.refuse(
        lambda call: b'"transfer"' in call.data and f", {recipient}, ".encode() in call.data,
        "no",
        foreseen=False,
    )
    harness.mine()
    assert harness.order(first).status is Status.PROCESSING
    assert harness.order(second).status is Status.PROVED
    harness.chain.allow()
    (third,) = sent(harness)
    pair(harness, third)
    finish(harness)


def test_a_claim_that_reverts_is_simulated_and_made_again(harness: BridgeHarness) -> None:
    (key,) = sent(harness)
    fails_when_mined(harness, b'"claim"')
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.FULFILLED, 2, True)
    assert [entry.fault.step for entry in harness.store.errors.of(key)] == ["repay"]
    (other,) = sent(harness)
    assert [purpose for purpose, *_ in rows(harness, other)] == ["transfer"]
    harness.chain.allow()
    finish(harness)
    assert harness.paid(key) == 1


def test_a_claim_that_needs_more_gas_than_any_before_is_made_again(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = sent(harness)
    claim, use = pair(harness, key)[1], ChainMemory._use

    def dearer(chain: ChainMemory, call: Call) -> int:
        return claim.gas + 1 if b'"claim"' in call.data else use(chain, call)

    monkeypatch.setattr(ChainMemory, "_use", dearer)
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    (error,) = harness.store.errors.of(key)
    assert "out of gas" in error.fault.message
    finish(harness)


def test_a_claim_that_waits_for_the_next_block_is_not_made_twice(harness: BridgeHarness) -> None:
    (key,) = sent(harness)
    harness.chain.max_per_block = 1
    harness.mine()
    transfer, claim = pair(harness, key)
    order = harness.order(key)
    assert (order.status, order.claim_tx) == (Status.FULFILLED, claim.hash)
    harness.repay([key])
    order = harness.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVING, claim.hash)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert len(harness.store.outbox.of(key)) == 2
    assert transfer.nonce + 1 == claim.nonce
    finish(harness)


def test_a_wallet_that_cannot_pay_for_both_sends_neither(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    fees = harness.chain.fees()
    transfer = harness.registry.transfer(harness.order(key))
    (gas,) = harness.chain.simulate([transfer], fees)
    assert isinstance(gas, int)
    left = transfer.value + gas * fees.ceiling
    harness.chain.endowment += left - harness.chain.balance()
    harness.transfer([key])
    assert harness.order(key).reason == "waiting: the wallet has too little ETH"
    assert harness.chain.pool == {}
