"""Fixtures with sensors that look once in a tick, instead of waiting."""

import pytest

from mmbot_pipelines.defs.bridge import run_requests
from tests.bridge.harness import BridgeHarness


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> BridgeHarness:
    monkeypatch.setattr(run_requests, "_TICK_SECONDS", 0)
    return BridgeHarness()
