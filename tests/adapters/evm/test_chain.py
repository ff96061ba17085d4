"""How the wallet reads fees, nonces, heads and balances from nodes."""

from typing import Any

import pytest

from mmbot_pipelines.adapters.evm.blocks import NodeBehind
from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Fees
from tests.adapters.evm.wallet_answers import header
from tests.adapters.rpc.fake_node import FakeNode, refuse


@pytest.mark.parametrize(("base", "next_base"), [(100, 113), (8, 9), (7, 8), (1, 2), (0, 0)])
def test_base_is_what_the_next_block_can_ask_at_most(
    node: FakeNode, chain: EthereumChain, base: int, next_base: int
) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=hex(base))
    assert chain.fees() == Fees(base=Wei(next_base), priority=Wei(5), ceiling=Wei(2 * base + 5))


def test_priority_has_a_default(node: FakeNode, chain: EthereumChain) -> None:
    del node.methods["eth_maxPriorityFeePerGas"]
    assert chain.fees().priority == 10**9


def test_priority_of_a_lying_node_is_capped(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_maxPriorityFeePerGas"] = lambda: hex(10**18)
    assert chain.fees() == Fees(base=Wei(113), priority=Wei(2 * 10**10), ceiling=Wei(20000000200))


@pytest.mark.parametrize("base", [10**15 + 1, 2**256 - 1])
def test_impossible_base_fee_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, base: int
) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=hex(base))
    with pytest.raises(InvalidResponse, match="impossible base fee"):
        chain.fees()


@pytest.mark.parametrize("pending", [True, False])
def test_impossible_nonce_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, pending: bool
) -> None:
    node.methods["eth_getTransactionCount"] = lambda *_: hex(2**64 - 1)
    with pytest.raises(InvalidResponse, match="impossible nonce"):
        chain.nonce(pending=pending)


def test_chain_without_base_fee_is_refused(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=None)
    with pytest.raises(RpcRefused, match="EIP-1559 is needed"):
        chain.fees()


def test_refused_question_is_one_line(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBalance"] = refuse(-32000, "state\nunavailable")
    with pytest.raises(RpcRefused) as raised:
        chain.balance()
    line = "a node of L1 refuses eth_getBalance: stateunavailable (code -32000)"
    assert str(raised.value) == line


def test_missing_head_is_a_node_behind(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBlockByNumber"] = lambda *_: None
    with pytest.raises(NodeBehind):
        chain.head()


@pytest.mark.parametrize("answer", [None, "0x", "100", -1, {}])
def test_balance_that_is_no_number_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, answer: Any
) -> None:
    node.methods["eth_getBalance"] = lambda *_: answer
    with pytest.raises(InvalidResponse):
        chain.balance()
