"""The node that fails on command does exactly what a test sets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from tests.chaos.faulty_rpc import Fault, FaultyRpc


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with Anvil(chain_id=31337) as chain:
        yield chain


@pytest.fixture
def node(chain: Anvil) -> Iterator[FaultyRpc]:
    with FaultyRpc(chain.url, seed=1) as node:
        yield node


def body(method: str, *params: Any, number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def post(node: FaultyRpc, asked: Any, timeout: float = 120) -> requests.Response:
    return requests.post(node.url, json=asked, timeout=timeout)


def result(node: FaultyRpc, method: str, *params: Any) -> Any:
    return post(node, body(method, *params)).json()["result"]


def test_a_healthy_node_answers_singly_and_in_batches(node: FaultyRpc) -> None:
    assert result(node, "eth_chainId") == "0x7a69"
    batch = post(node, [body("eth_chainId", number=7), body("nonsense", number=8)]).json()
    assert [answer["id"] for answer in batch] == [7, 8]
    assert "error" in batch[1]


def test_a_broken_connection_has_no_answer(node: FaultyRpc) -> None:
    node.fail(Fault.DROP)
    with pytest.raises(requests.ConnectionError):
        post(node, body("eth_chainId"))
    node.fail(Fault.NONE)
    assert result(node, "eth_chainId") == "0x7a69"


def test_what_hangs_waits_until_the_fault_is_over(node: FaultyRpc) -> None:
    node.fail(Fault.HANG)
    with pytest.raises(requests.ReadTimeout):
        post(node, body("eth_chainId"), timeout=0.2)
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(post, node, body("eth_chainId"))
        while node.served[Fault.HANG] < 2:
            assert not hanging.done()
        node.fail(Fault.NONE)
        assert isinstance(hanging.exception(), requests.ConnectionError)


@pytest.mark.parametrize(("fault", "status"), [(Fault.ERROR, 500), (Fault.LIMIT, 429)])
def test_an_overloaded_node_reports_it(node: FaultyRpc, fault: Fault, status: int) -> None:
    node.fail(fault)
    assert post(node, body("eth_chainId")).status_code == status


def test_garbage_is_no_json(node: FaultyRpc) -> None:
    node.fail(Fault.GARBAGE)
    with pytest.raises(requests.JSONDecodeError):
        post(node, body("eth_chainId")).json()


def test_a_stale_node_stays_where_it_was(node: FaultyRpc, chain: Anvil) -> None:
    w3 = connect(chain.url)
    height = w3.eth.block_number
    node.fail(Fault.STALE)
    sender = account(3).address
    sent = w3.eth.send_transaction({"from": sender, "to": sender}).to_0x_hex()
    ask(w3, "evm_mine")
    assert w3.eth.block_number == height + 2
    assert int(result(node, "eth_blockNumber"), 16) == height
    assert int(result(node, "eth_getBlockByNumber", "latest", False)["number"], 16) == height
    assert result(node, "eth_getBlockByNumber", hex(height + 1), False) is None
    assert result(node, "eth_getTransactionReceipt", sent) is None
    assert result(node, "eth_getTransactionByHash", sent)["blockNumber"] is None
    assert result(node, "eth_getTransactionCount", sender, "latest") == "0x0"
    node.fail(Fault.NONE)
    assert result(node, "eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_a_liar_lies_differently_each_time_and_repeatably(node: FaultyRpc, chain: Anvil) -> None:
    node.fail(Fault.LIE)
    truth = hex(connect(chain.url).eth.get_balance(account(1).address))

    def reported(by: FaultyRpc) -> list[str]:
        return [result(by, "eth_getBalance", account(1).address, "latest") for _ in range(20)]

    logged = reported(node)
    assert len(set(logged)) == 3
    assert truth in logged
    with FaultyRpc(chain.url, seed=1) as twin:
        twin.fail(Fault.LIE)
        assert reported(twin) == logged
    assert result(node, "eth_chainId") == "0x7a69"
