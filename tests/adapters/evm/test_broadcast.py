"""What goes to all nodes at once."""

import threading
from typing import Any

import pytest
from eth_utils import keccak

from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.errors import NonceTaken, RpcUnavailable, WrongChain
from tests.adapters.rpc.fake_node import FakeNode, Refusal, rpc
from tests.adapters.rpc.faulty_nodes import RPC_CALL, Clock, fail, hang, heal, waited_for_briefly

pytestmark = pytest.mark.usefixtures("echoing")


def test_all_asks_every_node_and_waits_for_no_hanging_one(
    node: FakeNode, spare: FakeNode, clock: Clock
) -> None:
    received = threading.Event()
    client = rpc(node, spare, clock=clock)
    client.batch([RPC_CALL])
    node.methods["echo"] = lambda n: (received.set(), node.released.wait(20)) and n
    assert client.all([RPC_CALL], enough=lambda answers: answers == [1]) == [[1]]
    assert received.is_set()
    assert not node.released.is_set()


def test_all_asks_also_a_node_with_an_open_circuit(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    client.batch([RPC_CALL])
    hang(node)
    with waited_for_briefly(client.members[0]):
        client.batch([RPC_CALL])
    heal(node)
    assert client.all([RPC_CALL], enough=lambda _: False) == [[1], [1]]


def test_all_without_any_answer_is_an_outage(node: FakeNode, spare: FakeNode, client: Rpc) -> None:
    fail(node)
    fail(spare)
    with pytest.raises(RpcUnavailable, match=r"HTTP 500.*HTTP 500"):
        client.all([RPC_CALL], enough=lambda _: True)


def chain(client: Rpc) -> EthereumChain:
    return EthereumChain(client, LocalSigner("4c" * 32))


def take(node: FakeNode) -> list[str]:
    """Make a node take transactions; return the list of those it took."""
    took: list[str] = []

    def send(raw: str) -> str:
        took.append(raw)
        return "0x" + keccak(hexstr=raw).hex()

    node.methods["eth_sendRawTransaction"] = send
    return took


def refuse(node: FakeNode, message: str, *, known: bool = False) -> None:
    def method(*_: Any) -> None:
        raise Refusal(-32000, message)

    node.methods |= {
        "eth_sendRawTransaction": method,
        "eth_getTransactionByHash": lambda tx: {"hash": tx} if known else None,
    }


def test_transaction_goes_to_all_nodes(node: FakeNode, spare: FakeNode, client: Rpc) -> None:
    took = take(node), take(spare)
    assert chain(client).broadcast([b"\2a", b"\2b"]) == [None, None]
    assert took == (["0x0261", "0x0262"], ["0x0261", "0x0262"])


@pytest.mark.parametrize("words", ["nonce too low", "txpool is full", "header not found"])
def test_one_node_that_takes_it_is_enough(
    node: FakeNode, spare: FakeNode, client: Rpc, words: str
) -> None:
    refuse(node, words)
    took = take(spare)
    assert chain(client).broadcast([b"\2a"]) == [None]
    assert took == ["0x0261"]


def test_each_transaction_may_be_taken_by_another_node(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    def only(own: str) -> Any:
        def send(raw: str) -> str:
            if raw != own:
                raise Refusal(-32000, "txpool is full")
            return raw

        return send

    node.methods["eth_sendRawTransaction"] = only("0x0261")
    spare.methods["eth_sendRawTransaction"] = only("0x0262")
    assert chain(client).broadcast([b"\2a", b"\2b"]) == [None, None]


def test_refused_by_all_but_there_at_one_counts(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    refuse(node, "nonce too low")
    refuse(spare, "already known", known=True)
    assert chain(client).broadcast([b"\2a"]) == [None]


def test_refused_by_all_is_reported_with_the_best_nodes_message(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    refuse(node, "nonce too low")
    refuse(spare, "txpool is full")
    (failure,) = chain(client).broadcast([b"\2a"])
    assert isinstance(failure, NonceTaken)


def test_away_primary_does_not_keep_it_from_the_others(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    fail(node)
    took = take(spare)
    assert chain(client).broadcast([b"\2a"]) == [None]
    assert took == ["0x0261"]


def test_wrong_chain_gets_no_transaction(node: FakeNode, spare: FakeNode, client: Rpc) -> None:
    took = take(node), take(spare)
    node.chain_id = 5
    assert chain(client).broadcast([b"\2a"]) == [None]
    assert took == ([], ["0x0261"])
    spare.chain_id = 5
    client.poll_health()
    with pytest.raises(WrongChain):
        chain(client).broadcast([b"\2b"])
    assert took == ([], ["0x0261"])
