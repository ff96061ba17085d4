"""What `mmbot doctor` suggests for a node that cannot be used."""

import pytest

from mmbot_pipelines.adapters.rpc.node import RpcCall
from mmbot_pipelines.adapters.rpc.subscription import Subscription
from mmbot_pipelines.cli.doctor import nodes
from mmbot_pipelines.devnet.anvil import Anvil
from tests.adapters.rpc.fake_node import NOBODY, fake_node


def finding(url: str) -> str:
    (found,) = nodes.nodes("L1", 1, [url])
    return str(found)


def test_a_node_of_another_chain_needs_another_url() -> None:
    with fake_node(5) as node:
        found = finding(node.url)
    assert "serves chain 5, but MMBOT_L1_CHAIN_ID is 1: fix MMBOT_L1_RPC_URLS" in found
    assert "start" not in found


def test_a_node_that_is_down_may_only_have_to_be_started() -> None:
    assert "unreachable: fix MMBOT_L1_RPC_URLS or start the node" in finding(NOBODY)


@pytest.mark.server
def test_a_node_that_announces_what_is_new_is_told_from_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "_READ_SECONDS", 60.0)

    def found(url: str) -> str:
        heads: RpcCall = ("eth_subscribe", ["newHeads"])
        return str(nodes.announced(Subscription([url], [heads], chain="L1"), "L1", url))

    with Anvil(chain_id=1) as chain:
        assert "announces what is new" in found(chain.url.replace("http", "ws", 1))
    monkeypatch.setattr(nodes, "_READ_SECONDS", 0.2)
    assert "fix MMBOT_L1_WS_URLS or empty it" in found("ws://127.0.0.1:1/apikey1")
    assert "apikey1" not in found("ws://127.0.0.1:1/apikey1")
