"""Nodes that are away, slow or answer nothing usable are passed over."""

import pytest

from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.rpc.fake_node import NOBODY, FakeNode, rpc
from tests.adapters.rpc.faulty_nodes import waited_for_briefly


@pytest.mark.parametrize("status", [301, 401, 403, 429, 500, 502, 503])
def test_http_error_goes_to_the_next_node(node: FakeNode, spare: FakeNode, status: int) -> None:
    node.status = status
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(node, spare).call("eth_blockNumber") == "0x2"


def test_unreachable_node_is_passed_over(spare: FakeNode) -> None:
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(NOBODY, spare).call("eth_blockNumber") == "0x2"


def test_silent_node_is_passed_over(node: FakeNode, spare: FakeNode) -> None:
    node.silent = True
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    client = rpc(node, spare)
    with waited_for_briefly(client.members[0]):
        assert client.call("eth_blockNumber") == "0x2"


def test_node_that_drips_its_answer_is_passed_over(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare)
    node.methods["eth_blockNumber"] = lambda: "0x1"
    client.call("eth_blockNumber")
    node.drip_seconds = 0.02  # between two bytes: never too slow for a socket's timeout
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    with waited_for_briefly(client.members[0]):
        assert client.call("eth_blockNumber") == "0x2"
    alone = rpc(node)
    with (
        waited_for_briefly(*alone.members),
        pytest.raises(RpcUnavailable, match="timed out"),
    ):
        alone.call("eth_blockNumber")


def test_all_nodes_away_is_one_line_naming_chain_and_hosts(node: FakeNode) -> None:
    node.status = 503
    with pytest.raises(RpcUnavailable) as raised:
        rpc(NOBODY, node).call("eth_blockNumber")
    host = node.url.removeprefix("http://")
    assert str(raised.value) == (
        f"no RPC node of L1 answered: 127.0.0.1:1 unreachable; {host} answered HTTP 503"
    )


def test_rest_of_a_batch_goes_to_the_node_that_answered(node: FakeNode, spare: FakeNode) -> None:
    node.status = 503
    spare.methods["echo"] = lambda n: n
    assert rpc(node, spare, max_batch=2).batch([("echo", (n,)) for n in range(6)]) == [*range(6)]
    assert len(node.requests) == 1
