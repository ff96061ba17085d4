"""How often a transaction is sent again that one node does not show."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.retry import INTERVAL_SECONDS
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import transferring


def test_a_node_that_shows_no_transaction_is_not_flooded(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    transferring(harness, 40)
    first = len(harness.chain.broadcasts)
    with monkeypatch.context() as patch:
        patch.setattr(harness.chain, "known_by_node", lambda hashes: [False] * len(hashes))
        for _ in range(round(INTERVAL_SECONDS) * 4):  # the sensor looks four times a second
            steps.process_receipts(harness.bridge, harness.run)
            harness.later(0.25)
        assert len(harness.chain.broadcasts) - first == 40
        steps.process_receipts(harness.bridge, harness.run)
        assert len(harness.chain.broadcasts) - first == 80
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}


def test_what_an_outage_kept_back_is_sent_at_once_afterwards(harness: BridgeHarness) -> None:
    harness.chain.broadcast_fault = RpcUnavailable("no node answered")
    transferring(harness, 3)
    for _ in range(5):
        steps.process_receipts(harness.bridge, harness.run)
        harness.later(0.25)
    assert harness.chain.pool == {}
    harness.chain.broadcast_fault = None
    steps.process_receipts(harness.bridge, harness.run)
    assert len(harness.chain.pool) == 3
