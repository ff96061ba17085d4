"""Which Starknet node is asked, when the first is away, lags or fails."""

import time

import pytest

from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.fake_node import NOBODY, refuse
from tests.adapters.starknet.starknet_fakes import StarknetFake, client, newest


def test_a_primary_that_hangs_is_waited_for_once(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare, read_seconds=0.3, clock=lambda: 0.0)
    rpc.ask(StarknetNode.newest)
    node.node.silent, spare.head = True, 7
    before = len(node.node.requests)
    for _ in range(10):
        assert rpc.ask(StarknetNode.newest).number == 7
    assert len(node.node.requests) == before + 1
    assert [reading.is_serving for reading in rpc.health()] == [False, True]


def test_a_primary_that_lags_is_passed_over(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare)
    rpc.poll_health()
    assert rpc.ask(StarknetNode.newest).number == 100
    spare.head = 120
    rpc.poll_health()
    assert rpc.ask(StarknetNode.newest).number == 100  # the other's newest block is old too
    spare.made = int(time.time())
    rpc.poll_health()
    assert rpc.ask(StarknetNode.newest).number == 120


def test_a_node_with_an_open_circuit_is_probed_again(
    node: StarknetFake, spare: StarknetFake
) -> None:
    now = 0.0
    rpc = client(node, spare, clock=lambda: now)
    rpc.ask(StarknetNode.newest)
    node.node.status, spare.head = 429, 99
    assert rpc.ask(StarknetNode.newest).number == 99
    assert [reading.is_serving for reading in rpc.health()] == [False, True]
    node.node.status = 200
    for _ in range(4):
        now += 10
        rpc.poll_health()
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


def test_a_node_that_was_away_is_verified_again(node: StarknetFake, spare: StarknetFake) -> None:
    rpc = client(node, spare)
    rpc.ask(StarknetNode.newest)
    node.node.status = 500
    rpc.ask(StarknetNode.newest)
    node.node.status, node.chain_id, spare.node.status = 200, 1, 500
    with pytest.raises(RpcUnavailable, match="serves Starknet chain 0x1, but"):
        rpc.ask(StarknetNode.newest)


def test_work_that_failed_halfway_begins_again_at_the_next_node(
    node: StarknetFake, spare: StarknetFake
) -> None:
    def work(at: StarknetNode) -> tuple[str, int]:
        number = (at.newest()).number
        at.block(number)
        return at.host, number

    node.node.methods["starknet_getBlockWithTxHashes"] = lambda **_: {"nothing": 1}
    spare.head = 9
    host, number = client(node, spare).ask(work)
    assert (number, spare.url.endswith(host)) == (9, True)
