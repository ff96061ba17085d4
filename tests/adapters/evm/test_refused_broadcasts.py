"""What the wallet makes of nodes that refuse a transaction, in each client's words."""

from typing import Any

import pytest
from eth_utils import keccak

from mmbot_pipelines.adapters.evm.chain import EthereumChain, Underpriced
from mmbot_pipelines.core.errors import (
    Failure,
    InsufficientFunds,
    NonceTaken,
    RpcRefused,
    RpcUnavailable,
)
from tests.adapters.rpc.fake_node import FakeNode, Refusal, refuse


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ((-32000, "nonce too low: next nonce 5, tx nonce 4"), NonceTaken),
        ((-32000, "replacement transaction underpriced"), Underpriced),
        ((-32000, "transaction underpriced"), Underpriced),
        ((-32000, "max fee per gas less than block base fee"), Underpriced),
        ((-32000, "FeeTooLow, EffectivePriorityFeePerGas too low"), Underpriced),
        ((-32000, "insufficient funds for gas * price + value: balance 0"), InsufficientFunds),
        ((-32000, "txpool is full"), RpcRefused),
        ((-32000, "exceeds block gas limit"), RpcRefused),
    ],
)
def test_refused_transaction_is_classed(
    node: FakeNode, chain: EthereumChain, error: Any, kind: type[Failure]
) -> None:
    node.methods |= {
        "eth_sendRawTransaction": refuse(*error),
        "eth_getTransactionByHash": lambda _: None,
    }
    (failure,) = chain.broadcast([b"\2raw"])
    assert type(failure) is kind
    assert error[1] in str(failure)


@pytest.mark.parametrize("words", ["already known", "AlreadyKnown", "nonce too low", "known tx"])
def test_transaction_that_the_node_has_counts_as_handed_over(
    node: FakeNode, chain: EthereumChain, words: str
) -> None:
    node.methods |= {
        "eth_sendRawTransaction": refuse(-32000, words),
        "eth_getTransactionByHash": lambda tx: {"hash": tx},
    }
    assert chain.broadcast([b"\2raw"]) == [None]


def test_fault_stands_in_the_place_of_its_transaction(node: FakeNode, chain: EthereumChain) -> None:
    def send(raw: str) -> str:
        if raw == "0x0262":
            raise Refusal(-32000, "nonce too low")
        return "0x" + keccak(hexstr=raw).hex()

    node.methods |= {"eth_sendRawTransaction": send, "eth_getTransactionByHash": lambda _: None}
    first, second, third = chain.broadcast([b"\2a", b"\2b", b"\2c"])
    assert (first, third) == (None, None)
    assert isinstance(second, NonceTaken)


def test_outage_stands_in_every_place(node: FakeNode, chain: EthereumChain) -> None:
    node.status = 503
    failures = chain.broadcast([b"\2a", b"\2b"])
    assert [type(f) for f in failures] == [RpcUnavailable] * 2
