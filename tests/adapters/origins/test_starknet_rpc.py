"""What the Starknet client makes of nodes that are away, lie, or speak another version."""

import asyncio
import gc
import logging
import threading
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.ethereum.node import NodeFault
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode, _answer, word
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable, WrongChain
from mmbot_pipelines.core.outbox import Block
from tests.adapters.ethereum.fake_node import Refusal
from tests.adapters.origins.starknet_fakes import NOBODY, StarknetFake, client, starknet_fake

SECRET = "s3cr3tkey"


@pytest.fixture
def node() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake


@pytest.fixture
def spare() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake


def newest(*nodes: StarknetFake | str, **options: Any) -> Block:
    return client(*nodes, **options).ask(StarknetNode.newest)


def refuse(code: int, message: str, data: Any = None) -> Any:
    def method(**_: Any) -> None:
        raise Refusal(code, message, data)

    return method


def test_version_and_chain_are_asked_before_anything_else(node: StarknetFake) -> None:
    rpc = client(node)
    assert rpc.ask(StarknetNode.newest) == Block(100, word(100))
    rpc.ask(StarknetNode.newest)
    assert node.node.asked == [
        "starknet_specVersion",
        "starknet_chainId",
        "starknet_blockHashAndNumber",
        "starknet_blockHashAndNumber",
    ]


@pytest.mark.parametrize("version", ["0.8.1", "0.9.0", "1.0.0", "", "0.100.2"])
def test_a_version_that_is_not_spoken_is_refused_in_one_line(
    node: StarknetFake, version: str
) -> None:
    node.version = version
    with pytest.raises(RpcUnavailable) as refused:
        newest(node)
    said = str(refused.value)
    assert f"speaks Starknet JSON-RPC {version}, not 0.10.2" in said
    assert "MMBOT_STARKNET_RPC_URLS" in said
    assert "\n" not in said


@pytest.mark.parametrize("version", ["0.10.0", "0.10.3", "0.10.2-rc1"])
def test_other_patches_of_the_version_are_spoken(node: StarknetFake, version: str) -> None:
    node.version = version
    assert newest(node).number == 100


def test_a_node_of_another_version_is_passed_over(node: StarknetFake, spare: StarknetFake) -> None:
    node.version, spare.head = "0.8.1", 7
    assert newest(node, spare).number == 7


def test_a_node_of_another_chain_is_passed_over_and_rests(
    node: StarknetFake, spare: StarknetFake, caplog: pytest.LogCaptureFixture
) -> None:
    node.chain_id, spare.head = 0x534E5F5345504F4C4941, 7
    rpc = client(node, spare)
    for _ in range(5):
        assert rpc.ask(StarknetNode.newest).number == 7
    assert rpc.witnesses(StarknetNode.newest) == [Block(7, word(7))]
    assert "starknet_blockHashAndNumber" not in node.node.asked
    (line,) = [line for line in caplog.messages if "rests 300 s" in line]
    assert "serves Starknet chain 0x534e5f5345504f4c4941, but MMBOT_STARKNET_CHAIN_ID" in line


def test_nodes_that_all_serve_another_chain_stop_everything(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.chain_id = spare.chain_id = 0x534E5F5345504F4C4941
    said = r"0x534e5f5345504f4c4941.* MMBOT_STARKNET_CHAIN_ID is 0x"
    with pytest.raises(WrongChain, match=said):
        newest(node, spare)
    with pytest.raises(WrongChain, match=said):
        client(node, spare, quorum=2).witnesses(StarknetNode.newest)


def test_a_witness_of_another_chain_is_none(node: StarknetFake, spare: StarknetFake) -> None:
    node.chain_id = 1
    with pytest.raises(RpcUnavailable, match=r"1 of the 2 nodes .* serves Starknet chain 0x1"):
        client(node, spare, quorum=2).witnesses(StarknetNode.newest)


def test_a_primary_that_hangs_is_waited_for_once(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare, read_seconds=0.3, clock=lambda: 0.0)
    rpc.ask(StarknetNode.newest)
    node.node.silent, spare.head = True, 7
    before = len(node.node.requests)
    for _ in range(10):
        assert rpc.ask(StarknetNode.newest).number == 7
    assert len(node.node.requests) == before + 1
    assert [reading.serving for reading in rpc.health()] == [False, True]


def test_a_primary_that_lags_is_passed_over(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare)
    rpc.survey()
    assert rpc.ask(StarknetNode.newest).number == 100
    spare.head = 120
    rpc.survey()
    assert rpc.ask(StarknetNode.newest).number == 120


def test_a_node_that_rests_is_looked_at_again(node: StarknetFake, spare: StarknetFake) -> None:
    now = 0.0
    rpc = client(node, spare, clock=lambda: now)
    rpc.ask(StarknetNode.newest)
    node.node.status, spare.head = 429, 99
    assert rpc.ask(StarknetNode.newest).number == 99
    assert [reading.serving for reading in rpc.health()] == [False, True]
    node.node.status = 200
    for _ in range(4):
        now += 10
        rpc.survey()
    assert rpc.ask(StarknetNode.newest).number == 100


@pytest.mark.parametrize(
    ("code", "message"),
    [(-32603, "Internal error"), (-32005, "limit exceeded"), (429, "slow down")],
)
def test_an_error_of_the_nodes_own_goes_to_the_next(
    node: StarknetFake, spare: StarknetFake, code: int, message: str
) -> None:
    node.node.methods["starknet_getBlockWithTxHashes"] = refuse(code, message)
    assert client(node, spare).ask(lambda at: at.block(5)) == Block(5, word(5))
    assert client(spare, node, quorum=2).witnesses(StarknetNode.newest)


def test_an_internal_error_of_all_nodes_is_the_answer(
    node: StarknetFake, spare: StarknetFake
) -> None:
    for one in (node, spare):
        one.node.methods["starknet_getBlockWithTxHashes"] = refuse(-32603, "Internal error")
    rpc = client(node, spare)
    with pytest.raises(RpcRefused, match="Internal error"):
        rpc.ask(lambda at: at.block(5))
    with pytest.raises(RpcRefused, match="Internal error"):
        rpc.ask(lambda at: at.block(5))
    spare.node.methods["starknet_getBlockWithTxHashes"] = refuse(-32005, "limit exceeded")
    node.node.methods["starknet_getBlockWithTxHashes"] = refuse(-32005, "limit exceeded")
    with pytest.raises(RpcUnavailable, match="limit exceeded"):
        rpc.ask(lambda at: at.block(5))


@pytest.mark.parametrize("trouble", ["status", "silent", "garbage", "type", "redirect", "id"])
def test_a_node_without_a_usable_answer_is_passed_over(
    node: StarknetFake, spare: StarknetFake, trouble: str
) -> None:
    spare.head = 7
    match trouble:
        case "status":
            node.node.status = 503
        case "silent":
            node.node.silent = True
        case "garbage":
            node.node.body = b"<html>"
        case "type":
            node.node.methods["starknet_blockHashAndNumber"] = lambda: {"block_number": "x"}
        case "redirect":
            node.node.status = 302
        case "id":
            node.node.body = b'{"jsonrpc": "2.0", "id": 99, "result": "0.10.2"}'
    found = newest(NOBODY, node, spare, connect_seconds=0.3, read_seconds=0.2)
    assert found.number == 7


def test_nobody_is_one_line_that_names_each_host_and_no_secret(node: StarknetFake) -> None:
    node.node.status = 429
    urls = [f"http://user:{SECRET}@127.0.0.1:1/{SECRET}", f"{node.url}/{SECRET}"]
    with pytest.raises(RpcUnavailable) as refused:
        newest(*urls)
    said = str(refused.value)
    assert said.startswith("no RPC node of starknet answered: 127.0.0.1:1 unreachable; 127.0.0.1:")
    assert "answered HTTP 429" in said
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_no_secret_reaches_a_log(node: StarknetFake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node.version = "0.8.1"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(RpcUnavailable):
            newest(f"{node.url}/{SECRET}", f"http://127.0.0.1:1/{SECRET}")
    assert SECRET not in caplog.text
    assert not [w for w in warned if SECRET in str(w.message)]
    rpc = client(f"{node.url}/{SECRET}")
    assert SECRET not in repr(rpc)


def test_an_echoed_key_is_not_shown(node: StarknetFake) -> None:
    key = "a1b2c3d4e5f6a1b2c3d4"
    node.node.methods["starknet_getBlockWithTxHashes"] = refuse(24, f"no block for {key}")
    with pytest.raises(RpcRefused, match=r"no block for \*\*\*"):
        client(f"{node.url}/rpc/v0_10/{key}").ask(lambda at: at.block(5))


def test_an_error_that_a_node_answers_is_the_answer(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.node.methods["starknet_getBlockWithTxHashes"] = refuse(24, "Block not found")
    with pytest.raises(RpcRefused, match="Block not found"):
        client(node, spare).ask(lambda at: at.block(5))
    assert "starknet_getBlockWithTxHashes" not in spare.node.asked


def test_a_node_that_was_away_is_verified_again(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare)
    rpc.ask(StarknetNode.newest)
    node.node.status = 500
    rpc.ask(StarknetNode.newest)
    node.node.status, node.chain_id, spare.node.status = 200, 1, 500
    with pytest.raises(RpcUnavailable, match="serves Starknet chain 0x1, but"):
        rpc.ask(StarknetNode.newest)


def test_an_answer_without_end_is_cut_off(node: StarknetFake) -> None:
    node.node.body = b" " * 100_000
    with pytest.raises(RpcUnavailable, match="answered more than 5000 bytes"):
        newest(node, most_bytes=5_000)


def test_work_that_failed_halfway_begins_anew_at_the_next_node(
    node: StarknetFake, spare: StarknetFake
) -> None:
    async def work(at: StarknetNode) -> tuple[str, int]:
        number = (await at.newest()).number
        await at.block(number)
        return at.host, number

    node.node.methods["starknet_getBlockWithTxHashes"] = lambda **_: {"nothing": 1}
    spare.head = 9
    host, number = client(node, spare).ask(work)
    assert (number, spare.url.endswith(host)) == (9, True)


def test_only_so_many_requests_are_open_at_once(node: StarknetFake) -> None:
    together, most, lock = 0, 0, threading.Lock()
    ask_block = node.block

    def block(block_id: Any) -> dict[str, Any]:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        node.node.released.wait(0.01)
        with lock:
            together -= 1
        return ask_block(block_id)

    async def work(at: StarknetNode) -> int:
        return len(await asyncio.gather(*(at.block(n) for n in range(40))))

    node.node.methods["starknet_getBlockWithTxHashes"] = block
    assert client(node, most_at_once=4).ask(work) == 40
    assert 1 < most <= 4


def test_threads_share_a_client(node: StarknetFake) -> None:
    rpc = client(node)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rpc.ask(StarknetNode.newest).number, range(40)))
    assert found == [100] * 40
    assert sum(t.name == "starknet-rpc" for t in threading.enumerate()) >= 1


def test_a_client_that_is_dropped_leaves_no_thread(node: StarknetFake) -> None:
    gc.collect()
    before = threads()
    rpc = client(node)
    rpc.ask(StarknetNode.newest)
    assert threads() == before + 1
    del rpc
    gc.collect()
    assert threads() == before


def threads() -> int:
    return sum(t.name == "starknet-rpc" for t in threading.enumerate())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_any_body_is_an_answer_or_a_fault(body: bytes) -> None:
    try:
        answered = _answer(body, 0)
    except NodeFault:
        return
    assert "result" in answered or isinstance(answered["error"], dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_result_is_a_block_or_one_clear_line(node: StarknetFake, result: Any) -> None:
    node.node.methods["starknet_blockHashAndNumber"] = lambda: result
    said = ""
    try:
        newest(node)
    except RpcUnavailable as e:
        said = str(e)
    assert "\n" not in said
