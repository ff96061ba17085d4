"""No node gets a request before its chain id is checked."""

from typing import Any

import pytest

from mmbot_pipelines.core.errors import RpcUnavailable, WrongChain
from tests.adapters.rpc.fake_node import FakeNode, fake_node, rpc


def test_chain_id_is_asked_once_before_anything_else(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    client = rpc(node)
    client.call("echo", (1,))
    client.call("echo", (2,))
    assert [r["method"] for r in node.requests] == ["eth_chainId", "echo", "echo"]


def test_wrong_chain_is_one_line_and_nothing_is_sent() -> None:
    with fake_node(chain_id=5) as node, pytest.raises(WrongChain) as raised:
        rpc(node).call("eth_sendRawTransaction", ("0x02",))
    host = node.url.removeprefix("http://")
    assert str(raised.value) == f"{host} serves chain 5, but MMBOT_L1_CHAIN_ID is 1"
    assert node.asked == []


def test_node_that_comes_back_as_another_chain_is_noticed(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    client = rpc(node)
    client.call("echo", (1,))
    node.status = 503
    with pytest.raises(RpcUnavailable):
        client.call("echo", (1,))
    node.status, node.chain_id = 200, 5
    with pytest.raises(WrongChain):
        client.call("echo", (1,))


@pytest.mark.parametrize("reported", [None, "", "0x", "one", 1, {}, "0x" + "f" * 100])
def test_node_that_does_not_report_its_chain_is_passed_over(
    node: FakeNode, spare: FakeNode, reported: Any
) -> None:
    node.methods["eth_chainId"] = lambda: reported
    spare.methods["echo"] = lambda n: n
    assert rpc(node, spare).call("echo", (1,)) == 1
    assert node.asked == []
