"""The world whose sensors look once in a tick, instead of waiting."""

import pytest

from mmbot_pipelines.defs import requests
from tests.bridge.world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(requests, "_TICK_SECONDS", 0)
    return World()
