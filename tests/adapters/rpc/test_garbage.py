"""Answers that are none, incomplete or too long."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.rpc.client import ResponseTooLarge
from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import _answers
from tests.adapters.rpc.any_json import JSON
from tests.adapters.rpc.fake_node import FakeNode, rpc


def test_compressed_answer_is_read_up_to_the_size_limit(node: FakeNode) -> None:
    node.methods["long"] = lambda: "x" * 100_000
    node.gzip = True
    assert rpc(node).call("long") == "x" * 100_000
    with pytest.raises(ResponseTooLarge):
        rpc(node, max_bytes=50_000).call("long")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"0x1"',
        b"[1, 2]",
        b'{"jsonrpc": "2.0", "id": 0, "result": "0x1"}',
        b'{"jsonrpc": "2.0", "result": "0x1"}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_answer_that_is_none_goes_to_the_next_node(
    node: FakeNode, spare: FakeNode, body: bytes
) -> None:
    client = rpc(node, spare)
    node.methods["eth_blockNumber"] = lambda: "0x1"
    client.call("eth_blockNumber")
    node.body = body
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert client.call("eth_blockNumber") == "0x2"


def test_answer_without_result_and_error_is_none(node: FakeNode, spare: FakeNode) -> None:
    node.body = lambda request: json.dumps({"id": request["id"]}).encode()
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(node, spare).call("eth_blockNumber") == "0x2"


def test_batch_with_a_missing_answer_is_none(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare)
    node.methods["echo"] = spare.methods["echo"] = lambda n: n
    client.call("echo", (1,))
    node.body = lambda request: json.dumps([node._one(q) for q in request[1:]]).encode()
    assert client.batch([("echo", (n,)) for n in range(3)]) == [0, 1, 2]
    assert spare.asked == ["echo"] * 3


def test_batch_refused_as_a_whole_goes_to_the_next_node(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare)
    node.methods["echo"] = spare.methods["echo"] = lambda n: n
    client.call("echo", (1,))
    node.body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too long"}}'
    assert client.batch([("echo", (n,)) for n in range(3)]) == [0, 1, 2]


def test_answer_above_the_size_limit_is_refused(node: FakeNode) -> None:
    node.methods["long"] = lambda: "x" * 100_000
    with pytest.raises(ResponseTooLarge, match="more than 50000 bytes"):
        rpc(node, max_bytes=50_000).call("long")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading_of_answers(body: bytes) -> None:
    with suppress(NodeFault):
        _answers(body, [1, 2])


@given(st.lists(st.fixed_dictionaries({"id": JSON}, optional={"result": JSON, "error": JSON})))
def test_no_json_breaks_the_reading_of_answers(answers: list[Any]) -> None:
    try:
        read = _answers(json.dumps(answers).encode(), [1, 2])
    except NodeFault:
        return
    assert len(read) == 2
