"""What stands first in the wallet's nonce queue: it holds nobody, whatever it was signed with."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.evm import signing
from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.core.safety import State
from tests.bridge.guard_steps import state
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI, ends, rows
from tests.chain.anvil_bridge import AnvilBridge

CHEAP = {"amount": 10**15, "fee": 8 * 10**14}
GOOD = {"amount": 10**16, "fee": 10**17}
MINED, REPLACED = TxState.MINED, TxState.REPLACED


def claimed_cheaply(harness: BridgeHarness) -> str:
    """Let a claim that brings 0.0018 ETH wait in the pool."""
    (cheap,) = harness.set_and_detect(**CHEAP)
    harness.transfer([cheap])
    harness.mine()
    harness.repay([cheap])
    assert harness.order(cheap).status is Status.PROVING
    return cheap


def test_a_claim_too_expensive_to_be_mined_blocks_nothing_and_is_retried(
    harness: BridgeHarness,
) -> None:
    cheap = claimed_cheaply(harness)
    harness.chain.base_fee = 300 * GWEI
    honest = harness.set_and_detect(50, **GOOD)
    harness.transfer(honest)
    for _ in range(3):
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
    assert [harness.paid(key) for key in honest] == [1] * 50
    assert [len(rows(harness, key)) for key in honest] == [1] * 50
    assert ends(harness, cheap)[1:] == [("repay", 0, REPLACED), ("cancel", 1, MINED)]
    order = harness.order(cheap)
    assert (order.status, order.failed, order.failures) == (Status.FULFILLED, False, 0)
    assert (harness.store.errors.of(cheap), state(harness)) == ([], State.NORMAL)
    harness.repay([cheap])
    assert harness.order(cheap).reason == "waiting: its claim would cost what it brings"
    harness.chain.base_fee = GWEI
    harness.later(60)
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()
    assert harness.order(cheap).status is Status.PROVED


def behind_a_claim(harness: BridgeHarness) -> tuple[str, list[str]]:
    """Let transfers wait behind a claim, all of them at a price that blocks do not take now."""
    (claimed,) = harness.set_and_detect(**GOOD)
    harness.transfer([claimed])
    harness.mine()
    harness.repay([claimed])
    honest = harness.set_and_detect(3, **GOOD)
    harness.transfer(honest)
    harness.chain.max_per_block = 0
    return claimed, honest


def test_an_outage_of_the_l2_takes_no_claim_back_whose_price_was_good(
    harness: BridgeHarness,
) -> None:
    claimed, honest = behind_a_claim(harness)
    harness.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    for _ in range(10):
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
    assert [t.purpose for t in rows(harness, claimed)] == ["transfer", "repay"]
    assert "its price on zksync cannot be read (RpcUnavailable: no RPC node" in harness.logged[-1]
    assert "it is cancelled after 1800 s" in harness.logged[-1]
    harness.l2.fault = None
    harness.chain.max_per_block = None
    harness.replace_stuck()
    harness.mine()
    assert harness.order(claimed).status is Status.PROVED
    assert [harness.paid(key) for key in honest] == [1] * 3


def test_a_long_outage_of_the_l2_holds_nobody_and_is_the_logged_cause(
    harness: BridgeHarness,
) -> None:
    claimed, honest = behind_a_claim(harness)
    harness.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    harness.later(1801)
    harness.replace_stuck()
    (cancelled,) = [logged for logged in harness.logged if "cancelled for those" in logged]
    assert "its price on zksync cannot be read (RpcUnavailable" in cancelled
    assert "less than it costs" not in cancelled
    harness.chain.max_per_block = None
    harness.mine()
    assert ends(harness, claimed)[1:] == [("repay", 0, REPLACED), ("cancel", 1, MINED)]
    assert [harness.paid(key) for key in honest] == [1] * 3
    order = harness.order(claimed)
    assert (order.status, order.failed) == (Status.FULFILLED, False)


def test_a_claim_that_a_paused_escrow_refuses_is_taken_back_for_that(
    harness: BridgeHarness,
) -> None:
    behind_a_claim(harness)
    harness.l2.paused = True
    harness.later(61)
    harness.replace_stuck()
    (cancelled,) = [logged for logged in harness.logged if "cancelled for those" in logged]
    assert "it cannot be claimed now (EscrowPaused" in cancelled


def test_a_claim_that_nobody_waits_for_is_not_cancelled(harness: BridgeHarness) -> None:
    cheap = claimed_cheaply(harness)
    harness.chain.base_fee = 300 * GWEI
    harness.later(600)
    harness.replace_stuck()
    assert [t.purpose for t in rows(harness, cheap)] == ["transfer", "repay"]


def test_those_behind_the_head_are_not_bumped_to_the_end_of_their_margin(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(50, fee=10**15)
    harness.transfer(keys)
    harness.chain.max_per_block = 0  # no block has room, for half an hour
    for _ in range(30):
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
    assert [len(rows(harness, key)) for key in keys[1:]] == [1] * 49
    harness.chain.max_per_block = None
    harness.mine()
    assert [harness.paid(key) for key in keys[1:]] == [1] * 49
    assert all(o.failures == 0 and not o.failed for o in map(harness.order, keys))


def test_those_behind_that_no_block_takes_follow_the_price_together(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(10, **GOOD)
    harness.transfer(keys)
    harness.chain.base_fee = 10 * GWEI
    harness.replace_stuck()
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * 10


def test_nobody_behind_a_head_that_nothing_helps_is_touched(harness: BridgeHarness) -> None:
    poor, *rest = harness.set_and_detect(1, fee=8 * 10**14) + harness.set_and_detect(3, **GOOD)
    harness.transfer([poor, *rest])
    harness.chain.base_fee = 10 * GWEI
    harness.replace_stuck()
    assert [len(rows(harness, key)) for key in (poor, *rest)] == [1] * 4
    harness.later(61)
    harness.replace_stuck()
    harness.mine()
    assert [t.purpose for t in rows(harness, poor)] == ["transfer", "cancel"]
    assert [harness.paid(key) for key in rest] == [1] * 3
    order = harness.order(poor)
    assert (order.status, order.failed, order.failures) == (Status.PROCESSING, False, 0)


@pytest.mark.parametrize("gas", [0, 1, 16_000, 2**25])
def test_a_row_with_absurd_gas_that_no_node_took_is_signed_again(
    anvil_bridge: AnvilBridge, gas: int
) -> None:
    keys = anvil_bridge.find(3, fee=10**17)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EthereumChain, "simulate", lambda _, calls, *__: [Gas(gas)] * len(calls))
        # as a version signed that did not refuse such gas yet
        patch.setattr(signing, "MIN_GAS", 0)
        patch.setattr(signing, "MAX_GAS", 2**64)
        anvil_bridge.transfer(keys)
    assert [anvil_bridge.store.outbox.of(key)[0].gas for key in keys] == [gas] * 3
    for _ in keys:
        anvil_bridge.replace_stuck(after=61)
        anvil_bridge.mine()
    assert [anvil_bridge.paid(key) for key in keys] == [1] * 3
    assert {anvil_bridge.order(key).status for key in keys} == {Status.FULFILLED}
    assert {t.state for key in keys for t in anvil_bridge.store.outbox.of(key)} == {MINED, REPLACED}


@pytest.mark.parametrize("purpose", ["transfer", "cancel"])
def test_a_row_with_absurd_fees_that_no_node_took_costs_the_markets_price(
    anvil_bridge: AnvilBridge, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    (key,) = anvil_bridge.find(
        1, fee=10**20
    )  # what is left of it at 100 000 gwei is a margin still
    market = anvil_bridge.ports.chain.fees()
    refused: list[bytes] = []
    broadcast = EthereumChain.broadcast

    def taking(chain: EthereumChain, raws: Sequence[bytes]) -> list[Failure | None]:
        if not refused:
            refused.extend(raws)
        taken = [raw for raw in raws if raw not in refused]
        assert set(broadcast(chain, taken)) <= {None}
        return [RpcUnavailable("no node took it") if r in refused else None for r in raws]

    monkeypatch.setattr(EthereumChain, "broadcast", taking)
    with monkeypatch.context() as patch:
        patch.setattr(EthereumChain, "fees", lambda _: replace(market, ceiling=Wei(10**14)))
        anvil_bridge.transfer([key])
    assert anvil_bridge.store.outbox.of(key)[0].fees.ceiling == 10**14
    if purpose == "cancel":
        anvil_bridge.ports.pause()
    anvil_bridge.replace_stuck(after=61)
    newest = anvil_bridge.store.outbox.of(key)[-1]
    assert (newest.purpose, newest.bump) == (purpose, 1)
    assert newest.fees.ceiling <= anvil_bridge.ports.chain.fees().ceiling
    anvil_bridge.mine()
    assert anvil_bridge.ends(key)[-1] == (purpose, MINED)
    assert anvil_bridge.paid(key) == (purpose == "transfer")
