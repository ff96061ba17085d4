"""A node that counts transactions of the wallet that nobody sent."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.alerting.wallet import NONCE
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.nonces import MAX_FOREIGN
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import WALLET


def count_too_many(harness: BridgeHarness, patch: pytest.MonkeyPatch, more: int) -> None:
    """Make the node count so many waiting transactions more than there are."""
    honest: Callable[..., int] = harness.chain.nonce
    patch.setattr(
        harness.chain,
        "nonce",
        lambda *, pending: honest(pending=pending) + (more if pending else 0),
    )


def alerts(harness: BridgeHarness) -> dict[str, Severity]:
    return {alert.key: alert.severity for alert in harness.alerts().alerts}


def test_nothing_is_signed_above_a_nonce_that_cannot_be(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(3)
    with monkeypatch.context() as patch:
        count_too_many(harness, patch, 10**6)
        for _ in range(5):
            assert "NonceTooHigh" in harness.failing(lambda: harness.transfer(keys))
            harness.later(60)
            harness.replace_stuck()
        assert alerts(harness) == {NONCE: Severity.HIGH}
        assert harness.store.outbox.in_flight() == []
        assert harness.chain.broadcasts == []
    assert all(
        not order.failed for order in harness.store.orders.get(keys)
    )  # healthy all the while
    harness.transfer(keys)
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert [t.nonce for t in harness.chain.executed()] == [0, 1, 2]
    assert alerts(harness) == {}


def test_our_own_waiting_transactions_are_no_lie(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3 * MAX_FOREIGN)
    harness.transfer(keys)
    (late,) = harness.set_and_detect()
    harness.transfer([late])
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert alerts(harness) == {}


def test_a_wallet_with_a_past_is_no_lie(harness: BridgeHarness) -> None:
    for _ in range(2 * MAX_FOREIGN):
        harness.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED


def test_a_node_that_counts_a_little_too_many_burns_no_gas_without_end(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lie leaves a gap that must be filled; a real gap of another program looks the same."""
    count_too_many(harness, monkeypatch, MAX_FOREIGN)
    for _ in range(10):
        keys = harness.set_and_detect()
        harness.transfer(keys)
        for _ in range(4):
            harness.later(61)
            harness.replace_stuck()
            harness.mine()
    fillers = [t for t in harness.chain.executed() if t.call.to == WALLET]
    assert 0 < len(fillers) <= 20
    harness.later(3600)
    harness.replace_stuck()
    harness.mine()
    again = [t for t in harness.chain.executed() if t.call.to == WALLET]
    assert len(fillers) < len(again) <= 40


def test_a_gap_that_may_not_be_filled_yet_raises_no_fees_above_it(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_too_many(harness, monkeypatch, MAX_FOREIGN)
    for _ in range(4):
        harness.transfer(harness.set_and_detect())
        harness.later(61)
        harness.replace_stuck()
        harness.mine()
    stuck = {row.hash for row in harness.store.outbox.in_flight()}
    assert stuck
    for _ in range(3):
        harness.later(61)
        harness.replace_stuck()
    assert {row.hash for row in harness.store.outbox.in_flight()} == stuck
    assert steps.stuck_transactions(harness.bridge)
    assert any("the next ones are filled later" in line for line in harness.logged)
