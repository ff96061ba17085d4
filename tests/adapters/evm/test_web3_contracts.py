"""web3 over the failover pool: what it asks, what it believes, and what reaches the caller."""

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from mmbot_pipelines.adapters.evm.log_range import Log
from mmbot_pipelines.adapters.evm.web3_contracts import call, contract, decoded
from mmbot_pipelines.adapters.rpc.client import Rpc, RpcError
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.core.errors import Malformed, RpcUnavailable
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.adapters.evm.log_node import LogNode
from tests.adapters.rpc.fake_node import NOBODY, FakeNode, fake_node, refuse, rpc

HERE = Address("0x" + "11" * 20)
SENDER = Address("0x" + "22" * 20)
ABI: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "sum",
        "stateMutability": "payable",
        "inputs": [{"name": "parts", "type": "uint256[]"}],
        "outputs": [{"name": "", "type": "bytes[]"}],
    },
    {
        "type": "event",
        "name": "Summed",
        "anonymous": False,
        "inputs": [
            {"name": "who", "type": "address", "indexed": True},
            {"name": "parts", "type": "uint256[]", "indexed": False},
        ],
    },
]
RESULT = "0x" + encode(["bytes[]"], [[b"a", b"bc"]]).hex()
WHO = bytes.fromhex(SENDER[2:]).rjust(32, b"\0")


def asked(client: Rpc) -> Any:
    function = contract(client, HERE, ABI).functions.sum([1, 2])
    return call(function, sender=SENDER, value=Wei(5), balance=Wei(7))


def summed(**changed: Any) -> Log:
    topic = Web3.keccak(text="Summed(address,uint256[])")
    given = {
        "address": HERE,
        "topics": (bytes(topic), WHO),
        "data": encode(["uint256[]"], [[1, 2, 3]]),
        "block": Block(7, "0x" + "07" * 32),
        "tx": TxHash("0x" + "77" * 32),
        "index": 4,
    }
    return Log(**(given | changed))


def read(*logs: Log) -> list[Any]:
    event = contract(rpc(NOBODY), HERE, ABI).events.Summed()
    return [dict(args) for args in decoded(event, logs)]


def test_the_next_node_answers_where_the_first_is_down(node: FakeNode) -> None:
    node.methods["eth_call"] = lambda *_: RESULT
    assert asked(rpc(NOBODY, node)) == [b"a", b"bc"]
    (request,) = (r for r in node.requests if "eth_call" in str(r))
    (sent, tag, override) = next(r["params"] for r in request if r["method"] == "eth_call")
    assert (sent["from"], sent["to"], sent["value"], tag) == (SENDER, HERE, "0x5", "latest")
    assert override == {SENDER: {"balance": "0x7"}}


def test_a_quorum_reads_at_one_block() -> None:
    tags = []

    def answer(call: Any, tag: str, *_: Any) -> str:
        tags.append(tag)
        return RESULT

    with fake_node(eth_call=answer) as one, fake_node(eth_call=answer) as other:
        for node in (one, other):
            LogNode(node, head=100)
        assert asked(rpc(one, other, quorum=2)) == [b"a", b"bc"]
        assert tags == ["0x64", "0x64"]
        other.methods["eth_call"] = lambda *_: "0x"
        with pytest.raises(RpcUnavailable, match="disagree about the state at block 100"):
            asked(rpc(one, other, quorum=2))


def test_a_revert_comes_as_the_node_gave_it(node: FakeNode) -> None:
    node.methods["eth_call"] = refuse(3, "execution reverted: ui", "0x")
    with pytest.raises(RpcError) as refused:
        asked(rpc(node))
    assert (refused.value.code, refused.value.message) == (3, "execution reverted: ui")


def test_an_offchain_lookup_asks_nobody(node: FakeNode) -> None:
    """EIP-3668: a hostile contract names URLs, and the bot must not go there."""
    with fake_node() as lured:
        types = ["address", "string[]", "bytes", "bytes4", "bytes"]
        lookup = encode(types, [HERE, [f"{lured.url}/{{sender}}/{{data}}"], b"", b"abcd", b""])
        node.methods["eth_call"] = refuse(3, "execution reverted", "0x556f1830" + lookup.hex())
        with pytest.raises(RpcError):
            asked(rpc(node))
        assert lured.requests == []


@pytest.mark.parametrize("result", [None, 5, "0xz", "0x1", [], {"a": 1}])
def test_what_is_no_result_is_the_nodes_fault(node: FakeNode, result: Any) -> None:
    node.methods["eth_call"] = lambda *_: result
    with pytest.raises(InvalidResponse):
        asked(rpc(node))


@pytest.mark.parametrize("result", ["0x", "0x" + "ff" * 64, "0x" + "00" * 31])
def test_what_is_of_other_types_is_the_contracts_fault(node: FakeNode, result: str) -> None:
    node.methods["eth_call"] = lambda *_: result
    node.methods["eth_getCode"] = lambda *_: "0x60"
    with pytest.raises(Malformed, match="sum: "):
        asked(rpc(node))


def test_events_of_the_contract_are_decoded() -> None:
    log = summed()
    assert read(log, log) == [{"who": SENDER, "parts": [1, 2, 3]}] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"address": SENDER},
        {"topics": ()},
        {"topics": (WHO, WHO)},
        {"topics": summed().topics[:1]},
        {"topics": (*summed().topics, WHO)},
        {"topics": (summed().topics[0], b"\xff" * 32)},
        {"data": b""},
        {"data": summed().data[:-1]},
        {"data": b"\xff" * 64},
    ],
)
def test_other_logs_are_passed_over(changed: dict[str, Any]) -> None:
    assert read(summed(**changed), summed()) == [{"who": SENDER, "parts": [1, 2, 3]}]


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    st.booleans(),
    st.binary(max_size=300),
)
def test_no_log_raises(topics: list[bytes], is_named: bool, data: bytes) -> None:
    named = summed().topics[:1] if is_named else ()
    for args in read(summed(topics=(*named, *topics), data=data)):
        assert set(args) == {"who", "parts"}
