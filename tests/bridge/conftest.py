"""The world that tests of the bridge begin with."""

import pytest

from tests.bridge.harness import BridgeHarness


@pytest.fixture
def harness() -> BridgeHarness:
    return BridgeHarness()
