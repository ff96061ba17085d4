"""What `mmbot doctor` suggests for a node that cannot be used."""

from mmbot_pipelines.cli.doctor import nodes
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
