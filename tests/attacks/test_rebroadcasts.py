"""How often a transaction is sent again that one node does not show."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.rebroadcast import INTERVAL_SECONDS
from tests.bridge.transfers import transferring
from tests.bridge.world import World


def test_a_node_that_shows_no_transaction_is_not_flooded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    transferring(world, 40)
    first = len(world.chain.broadcasts)
    with monkeypatch.context() as patch:
        patch.setattr(world.chain, "knows", lambda hashes: [False] * len(hashes))
        for _ in range(round(INTERVAL_SECONDS) * 4):  # the sensor looks four times a second
            steps.settle_receipts(world.bridge, world.run)
            world.later(0.25)
        assert len(world.chain.broadcasts) - first == 40
        steps.settle_receipts(world.bridge, world.run)
        assert len(world.chain.broadcasts) - first == 80
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}


def test_what_an_outage_kept_back_is_sent_at_once_afterwards(world: World) -> None:
    world.chain.broadcast_fault = RpcUnavailable("no node answered")
    transferring(world, 3)
    for _ in range(5):
        steps.settle_receipts(world.bridge, world.run)
        world.later(0.25)
    assert world.chain.pool == {}
    world.chain.broadcast_fault = None
    steps.settle_receipts(world.bridge, world.run)
    assert len(world.chain.pool) == 3
