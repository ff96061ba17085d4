"""Questions to nodes, and the answers and errors that come back."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mmbot_pipelines.adapters.rpc.client import RpcError
from tests.adapters.rpc.fake_node import FakeNode, refuse, rpc


def test_call_returns_the_result(node: FakeNode) -> None:
    node.methods["eth_blockNumber"] = lambda: "0x10"
    assert rpc(node).call("eth_blockNumber") == "0x10"


def test_batch_answers_in_the_order_of_the_questions(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    node.body = lambda request: json.dumps(
        list(reversed([node._one(q) for q in request]))  # as servers may
        if isinstance(request, list)
        else node._one(request)
    ).encode()
    assert rpc(node).batch([("echo", (n,)) for n in range(7)]) == list(range(7))


def test_batch_is_cut_into_requests(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    assert rpc(node, max_batch=50).batch([("echo", (n,)) for n in range(120)]) == [*range(120)]
    assert [len(r) for r in node.requests if isinstance(r, list)] == [50, 50, 20]


def test_a_load_balancers_cookie_is_sent_back(node: FakeNode) -> None:
    client = rpc(node)
    client.call("eth_blockNumber")
    node.headers = {"Set-Cookie": "route=a; Path=/"}
    client.call("eth_blockNumber")
    node.headers = {}
    seen = len(node.cookies)
    client.call("eth_blockNumber")
    client.call("eth_blockNumber")
    assert set(node.cookies[:seen]) == {None}
    assert node.cookies[seen:] == ["route=a"] * 2


def test_no_questions_ask_nobody(node: FakeNode) -> None:
    assert rpc(node).batch([]) == []
    assert node.requests == []


def test_nodes_error_is_raised_and_asked_of_no_other(node: FakeNode, spare: FakeNode) -> None:
    node.methods["eth_call"] = refuse(3, "execution reverted", "0x08c379a0")
    with pytest.raises(RpcError) as raised:
        rpc(node, spare).call("eth_call")
    assert (raised.value.code, raised.value.message) == (3, "execution reverted")
    assert raised.value.data == "0x08c379a0"
    assert spare.asked == []


def test_nodes_error_stands_in_its_place(node: FakeNode) -> None:
    node.methods |= {"good": lambda: "0x1", "bad": refuse(-32000, "no")}
    first, second, third = rpc(node).batch([("good", ()), ("bad", ()), ("good", ())])
    assert (first, third) == ("0x1", "0x1")
    assert isinstance(second, RpcError)


def test_error_text_of_a_node_is_cleaned(node: FakeNode) -> None:
    node.methods["bad"] = refuse(1, "a\x1b[31mb\nc\u202ed" + "x" * 1000)
    (error,) = rpc(node).batch([("bad", ())])
    assert error.message.startswith("a[31mbcdxx")
    assert len(error.message) == 200


def test_rpc_error_under_http_400_is_an_answer(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare)
    node.methods |= {"first": lambda: 1, "bad": refuse(-32602, "no such argument")}
    client.call("first")
    node.status = 400
    with pytest.raises(RpcError, match="no such argument"):
        client.call("bad")


def test_null_is_a_result(node: FakeNode) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: None
    assert rpc(node).call("eth_getTransactionReceipt", ["0x00"]) is None


def test_threads_share_one_client(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    client = rpc(node)
    start = threading.Barrier(8)

    def ask(n: int) -> list[Any]:
        start.wait()
        return [client.call("echo", (n,)) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[n] * 20 for n in range(8)]
