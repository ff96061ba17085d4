import json
import logging
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.ethereum.node import NodeFault, _answers
from mmbot_pipelines.adapters.ethereum.rpc import AnswerTooLarge, Rpc, RpcError
from mmbot_pipelines.core.errors import RpcUnavailable, WrongChain
from tests.adapters.ethereum.fake_node import FakeNode, Refusal, fake_node

NOBODY = "http://127.0.0.1:1"  # a port that nothing listens on


def rpc(*nodes: FakeNode | str, **options: Any) -> Rpc:
    urls = [node if isinstance(node, str) else node.url for node in nodes]
    return Rpc(urls, chain="L1", chain_id=1, **options)


def refuse(code: int, message: str, data: Any = None) -> Any:
    def method(*_: Any) -> None:
        raise Refusal(code, message, data)

    return method


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
    assert rpc(node, most_questions=50).batch([("echo", (n,)) for n in range(120)]) == [*range(120)]
    assert [len(r) for r in node.requests if isinstance(r, list)] == [50, 50, 20]


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


@pytest.mark.parametrize("status", [301, 401, 403, 429, 500, 502, 503])
def test_http_error_goes_to_the_next_node(node: FakeNode, spare: FakeNode, status: int) -> None:
    node.status = status
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(node, spare).call("eth_blockNumber") == "0x2"


def test_rpc_error_under_http_400_is_an_answer(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare)
    node.methods |= {"first": lambda: 1, "bad": refuse(-32602, "no such argument")}
    client.call("first")
    node.status = 400
    with pytest.raises(RpcError, match="no such argument"):
        client.call("bad")


def test_unreachable_node_is_passed_over(spare: FakeNode) -> None:
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(NOBODY, spare).call("eth_blockNumber") == "0x2"


def test_silent_node_is_passed_over(node: FakeNode, spare: FakeNode) -> None:
    node.silent = True
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert rpc(node, spare, read_seconds=0.2).call("eth_blockNumber") == "0x2"


def test_node_that_drips_its_answer_is_passed_over(node: FakeNode, spare: FakeNode) -> None:
    client = rpc(node, spare, connect_seconds=0.2, read_seconds=0.2)
    node.methods["eth_blockNumber"] = lambda: "0x1"
    client.call("eth_blockNumber")
    node.drip_seconds = 0.02  # between two bytes: never too slow for a socket's timeout
    spare.methods["eth_blockNumber"] = lambda: "0x2"
    assert client.call("eth_blockNumber") == "0x2"
    with pytest.raises(RpcUnavailable, match="timed out"):
        rpc(node, connect_seconds=0.2, read_seconds=0.2).call("eth_blockNumber")


def test_compressed_answer_is_read_up_to_the_size_limit(node: FakeNode) -> None:
    node.methods["long"] = lambda: "x" * 100_000
    node.gzip = True
    assert rpc(node).call("long") == "x" * 100_000
    with pytest.raises(AnswerTooLarge):
        rpc(node, most_bytes=50_000).call("long")


def test_all_nodes_away_is_one_line_naming_chain_and_hosts(node: FakeNode) -> None:
    node.status = 503
    with pytest.raises(RpcUnavailable) as raised:
        rpc(NOBODY, node).call("eth_blockNumber")
    host = node.url.removeprefix("http://")
    assert str(raised.value) == (
        f"no RPC node of L1 answered: 127.0.0.1:1 unreachable; {host} answered HTTP 503"
    )


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


def test_null_is_a_result(node: FakeNode) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: None
    assert rpc(node).call("eth_getTransactionReceipt", ["0x00"]) is None


def test_answer_above_the_size_limit_is_refused(node: FakeNode) -> None:
    node.methods["long"] = lambda: "x" * 100_000
    with pytest.raises(AnswerTooLarge, match="more than 50000 bytes"):
        rpc(node, most_bytes=50_000).call("long")


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


@pytest.mark.parametrize("told", [None, "", "0x", "one", 1, {}, "0x" + "f" * 100])
def test_node_that_does_not_tell_its_chain_is_passed_over(
    node: FakeNode, spare: FakeNode, told: Any
) -> None:
    node.methods["eth_chainId"] = lambda: told
    spare.methods["echo"] = lambda n: n
    assert rpc(node, spare).call("echo", (1,)) == 1
    assert node.asked == []


def test_rest_of_a_batch_goes_to_the_node_that_answered(node: FakeNode, spare: FakeNode) -> None:
    node.status = 503
    spare.methods["echo"] = lambda n: n
    assert rpc(node, spare, most_questions=2).batch([("echo", (n,)) for n in range(6)]) == [
        *range(6)
    ]
    assert len(node.requests) == 1


def test_threads_share_one_client(node: FakeNode) -> None:
    node.methods["echo"] = lambda n: n
    client = rpc(node)
    start = threading.Barrier(8)

    def ask(n: int) -> list[Any]:
        start.wait()
        return [client.call("echo", (n,)) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[n] * 20 for n in range(8)]


def test_url_is_in_no_error_no_log_and_no_repr(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["user", "hunter2", "v3", "apikey", "token", "topsecret"]
    host = node.url.removeprefix("http://")
    urls = [
        f"http://user:hunter2@{where}/v3/apikey?token=topsecret"
        for where in (host, "127.0.0.1:1", "no.such.host.invalid")
    ]
    client = rpc(*urls, connect_seconds=1.0)
    said = [repr(client), repr(client._nodes)]
    for status in (200, 500):  # 200: no such method
        node.status = status
        with pytest.raises((RpcUnavailable, RpcError)) as raised:
            client.call("nothing")
        said += traceback.format_exception(raised.value)
        assert raised.value.__context__ is None or isinstance(raised.value.__context__, NodeFault)
    said += [record.getMessage() for record in caplog.records]
    assert host in repr(client)
    text = "\n".join(said)
    assert [secret for secret in secrets if secret in text.replace(__file__, "")] == []


KEY = "a1b2c3d4e5f6a1b2c3d4"


@pytest.mark.parametrize("where", ["{}/v3/{}", "{}/rpc?apikey={}", "bot:{1}@{0}/transactionIndex"])
def test_an_echoed_key_is_not_shown(node: FakeNode, where: str) -> None:
    node.methods["nothing"] = refuse(-32000, f"project id {KEY} is spent", f"0x{KEY}")
    node.methods["block"] = lambda: {"transactionIndex": "0x1"}
    client = rpc("http://" + where.format(node.url.removeprefix("http://"), KEY))
    with pytest.raises(RpcError) as refused:
        client.call("nothing")
    assert refused.value.message == "project id *** is spent"
    assert KEY not in str(refused.value.data)
    assert client.call("block") == {"transactionIndex": "0x1"}


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading_of_answers(body: bytes) -> None:
    with suppress(NodeFault):
        _answers(body, [1, 2])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.lists(st.fixed_dictionaries({"id": JSON}, optional={"result": JSON, "error": JSON})))
def test_no_json_breaks_the_reading_of_answers(answers: list[Any]) -> None:
    try:
        read = _answers(json.dumps(answers).encode(), [1, 2])
    except NodeFault:
        return
    assert len(read) == 2
