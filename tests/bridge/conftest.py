"""The world that tests of the bridge begin with."""

import pytest

from tests.bridge.world import World


@pytest.fixture
def world() -> World:
    return World()
