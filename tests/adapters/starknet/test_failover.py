"""Which Starknet node is asked when the first lags or refuses; the pool's part: adapters/rpc."""

import time

import pytest

from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.fake_node import refuse
from tests.adapters.starknet.starknet_fakes import StarknetFake, client


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
