"""What several nodes must agree on, with honest ones at different heads and lying ones."""

from typing import Any

import pytest

from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.blocks import NodeBehind
from mmbot_pipelines.adapters.evm.quorum import BlockReplaced, RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.chain_node import ChainNode
from tests.adapters.rpc.fake_node import NOBODY, Refusal, rpc, word
from tests.adapters.rpc.faulty_nodes import Clock, fail


def state(client: Rpc, block: Block) -> list[Any]:
    return quorum.read(client, [("eth_call", ({}, hex(block.number)))], block)


def hosts(*nodes: ChainNode) -> list[str]:
    return [n.node.url.removeprefix("http://") for n in nodes]


def test_newest_is_the_highest_block_that_all_have(both: Rpc, second: ChainNode) -> None:
    second.node.height = 98
    assert quorum.newest(both) == Block(98, word(98))


def test_state_is_read_from_all_at_one_block(
    both: Rpc, first: ChainNode, second: ChainNode
) -> None:
    second.node.height = 98
    block = quorum.newest(both)
    assert state(both, block) == [word(98)]
    assert "eth_call" in first.node.asked
    assert "eth_call" in second.node.asked


@pytest.mark.parametrize("liar", [0, 1])
def test_liar_is_found_and_both_are_named(
    both: Rpc, first: ChainNode, second: ChainNode, liar: int
) -> None:
    block = quorum.newest(both)
    (first, second)[liar].node.methods["eth_call"] = lambda *_: word(10**30)
    with pytest.raises(RpcDisagrees) as raised:
        state(both, block)
    assert all(host in str(raised.value) for host in hosts(first, second))
    assert "the state at block 100 of L1: nothing is paid" in str(raised.value)
    assert "MMBOT_L1_RPC_URLS" in str(raised.value)


def test_one_that_reverts_where_the_other_does_not_disagrees(both: Rpc, second: ChainNode) -> None:
    def revert(*_: Any) -> None:
        raise Refusal(3, "execution reverted")

    block = quorum.newest(both)
    second.node.methods["eth_call"] = revert
    with pytest.raises(RpcDisagrees):
        state(both, block)


def test_clients_may_word_one_revert_differently(
    both: Rpc, first: ChainNode, second: ChainNode
) -> None:
    def revert(code: int, message: str) -> Any:
        def method(*_: Any) -> None:
            raise Refusal(code, message)

        return method

    block = quorum.newest(both)
    first.node.methods["eth_call"] = revert(3, "execution reverted: Transfer not found.")
    second.node.methods["eth_call"] = revert(-32015, "VM execution error: reverted")
    assert "revert" in str(state(both, block)[0])  # of the node that answers first


def test_other_chain_of_the_same_height_disagrees(both: Rpc, second: ChainNode) -> None:
    second.fork = 1
    with pytest.raises(RpcDisagrees, match="disagree about block 100 of L1"):
        quorum.newest(both)


def test_block_replaced_while_it_is_read_is_read_again_later(both: Rpc, second: ChainNode) -> None:
    block = quorum.newest(both)
    second.fork = 1
    with pytest.raises(BlockReplaced, match="read again at the next tick"):
        state(both, block)


def test_one_node_that_replaces_the_block_is_noticed_too(first: ChainNode) -> None:
    client = rpc(first.node)
    block = quorum.newest(client)
    first.fork = 1
    with pytest.raises(BlockReplaced):
        state(client, block)


def test_node_that_lost_the_block_does_not_answer_for_it(first: ChainNode) -> None:
    client = rpc(first.node)
    block = quorum.newest(client)
    first.node.height = 50
    with pytest.raises(NodeBehind):
        state(client, block)


def test_third_node_stands_in(both: Rpc, first: ChainNode, third: ChainNode) -> None:
    client = rpc(first.node, NOBODY, third.node, quorum=2, clock=Clock())
    assert state(client, quorum.newest(client)) == [word(100)]
    assert "eth_call" in third.node.asked


def test_too_few_nodes_are_an_outage_that_names_the_setting(both: Rpc, second: ChainNode) -> None:
    fail(second.node)
    with pytest.raises(RpcUnavailable, match="only 1 of the 2 nodes of L1 that MMBOT_RPC_QUORUM"):
        quorum.newest(both)


def test_node_far_behind_counts_for_none(both: Rpc, second: ChainNode) -> None:
    quorum.newest(both)
    second.node.height = 40
    with pytest.raises(RpcUnavailable, match="is at block 40, but 100 was seen"):
        quorum.newest(both)
