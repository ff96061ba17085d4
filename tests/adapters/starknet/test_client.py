"""The Starknet client: versions, chains, answers, and threads that share it."""

import os

import pytest

from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable, WrongChain
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.fake_node import refuse
from tests.adapters.starknet.starknet_fakes import StarknetFake, client, newest


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
    logged = str(refused.value)
    assert f"speaks Starknet JSON-RPC {version}, not 0.10.2" in logged
    assert "MMBOT_STARKNET_RPC_URLS" in logged
    assert "\n" not in logged


@pytest.mark.parametrize("version", ["0.10.0", "0.10.3", "0.10.2-rc1"])
def test_other_patches_of_the_version_are_spoken(node: StarknetFake, version: str) -> None:
    node.version = version
    assert newest(node).number == 100


def test_a_node_of_another_version_is_passed_over(node: StarknetFake, spare: StarknetFake) -> None:
    node.version, spare.head = "0.8.1", 7
    assert newest(node, spare).number == 7


def test_nodes_that_all_serve_another_chain_stop_everything(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.chain_id = spare.chain_id = 0x534E5F5345504F4C4941
    logged = r"0x534e5f5345504f4c4941.* MMBOT_STARKNET_CHAIN_ID is 0x"
    with pytest.raises(WrongChain, match=logged):
        newest(node, spare)
    with pytest.raises(WrongChain, match=logged):
        client(node, spare, quorum=2).witnesses(StarknetNode.newest)


def test_a_witness_of_another_chain_is_none(node: StarknetFake, spare: StarknetFake) -> None:
    node.chain_id = 1
    with pytest.raises(RpcUnavailable, match=r"1 of the 2 nodes .* serves Starknet chain 0x1"):
        client(node, spare, quorum=2).witnesses(StarknetNode.newest)


def test_an_error_that_a_node_answers_is_the_answer(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.node.methods["starknet_getMessagesStatus"] = refuse(29, "Transaction hash not found")
    with pytest.raises(RpcRefused, match="Transaction hash not found"):
        client(node, spare).ask(lambda at: at.messages("0x5"))
    assert "starknet_getMessagesStatus" not in spare.node.asked


def test_many_questions_go_in_few_requests(node: StarknetFake) -> None:
    rpc = client(node, max_batch=15)
    rpc.ask(StarknetNode.newest)
    node.node.requests.clear()
    assert len(rpc.ask(lambda at: at.blocks(range(40)))) == 40
    assert [len(request) for request in node.node.requests] == [15, 15, 10]


def test_a_forked_process_opens_connections_of_its_own(node: StarknetFake) -> None:
    rpc = client(node)
    rpc.ask(StarknetNode.newest)
    child = os.fork()
    if child == 0:
        os._exit(0 if rpc.ask(StarknetNode.newest).number == 100 else 1)
    assert rpc.ask(StarknetNode.newest).number == 100
    assert os.waitpid(child, 0)[1] == 0
