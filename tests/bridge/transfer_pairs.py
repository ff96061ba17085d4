"""Transfers and the claims behind them: MMBOT_CLAIM=with_transfer on chains in memory."""

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_l1_reorgs import completed


def pairing() -> BridgeHarness:
    """Return a bridge that has seen one claim succeed, at nonces 0 and 1."""
    harness = BridgeHarness()
    harness.rules(claim_with_transfer=True)
    completed(harness)
    return harness


def sent(harness: BridgeHarness, count: int = 1, **order: object) -> list[str]:
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    assert {harness.order(key).status for key in keys} == {Status.TRANSFERRING}
    return keys


def rows(harness: BridgeHarness, key: str) -> list[tuple[str, int, TxState]]:
    return [(row.purpose, row.nonce, row.state) for row in harness.store.outbox.of(key)]


def pair(harness: BridgeHarness, key: str) -> tuple[Transaction, Transaction]:
    transfer, claim = harness.store.outbox.of(key)
    assert (transfer.purpose, claim.purpose) == ("transfer", "repay")
    return transfer, claim


def fails_when_mined(harness: BridgeHarness, kind: bytes, reason: str = "no") -> None:
    harness.chain.refuse(lambda call: kind in call.data, reason, foreseen=False)
