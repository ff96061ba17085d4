"""Fixtures of the bridge's tests."""

import pytest

from tests.bridge.harness import BridgeHarness


@pytest.fixture
def harness() -> BridgeHarness:
    return BridgeHarness()
