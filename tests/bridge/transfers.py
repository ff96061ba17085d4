"""Orders whose transfers are on their way, and what is stored of these."""

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.bridge.harness import BridgeHarness

GWEI = 10**9


def rows(harness: BridgeHarness, key: str) -> list[Transaction]:
    return harness.store.outbox.of(key)


def ends(harness: BridgeHarness, key: str) -> list[tuple[str, int, TxState]]:
    return [(t.purpose, t.bump, t.state) for t in rows(harness, key)]


def transferring(harness: BridgeHarness, count: int = 1, **order: object) -> list[str]:
    keys = harness.set_and_detect(count, **order)
    harness.transfer(keys)
    assert set(harness.statuses().values()) == {Status.TRANSFERRING}
    return keys
