"""The bridge on in-memory twins, for attacks that need no chain."""

import pytest

from tests.bridge.world import World


@pytest.fixture
def world() -> World:
    return World()
