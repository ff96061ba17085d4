"""Fixtures with sensors that look once in a tick, instead of waiting."""

import pytest

from mmbot_pipelines.defs.bridge import orders
from tests.bridge.harness import BridgeHarness


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> BridgeHarness:
    for name in ("TICK_SECONDS", "TURN_SECONDS"):
        monkeypatch.setattr(orders, name, 0)
    return BridgeHarness()
