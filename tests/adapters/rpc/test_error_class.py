"""Whose fault an error is, in the words of many clients."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.rpc.error_class import node_fault_of
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind
from mmbot_pipelines.adapters.rpc.node import RpcError
from tests.adapters.rpc.any_json import JSON


def call(
    code: int, message: str, data: Any = None, method: str = "eth_call"
) -> NodeFaultKind | None:
    return node_fault_of((method, ()), RpcError(code, message, data))


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32005, "limit exceeded", NodeFaultKind.RATE_LIMITED),
        (
            429,
            "Your app has exceeded its compute units per second capacity",
            NodeFaultKind.RATE_LIMITED,
        ),
        (-32029, "Too Many Requests", NodeFaultKind.RATE_LIMITED),
        (-32000, "daily request count exceeded, request rate limited", NodeFaultKind.RATE_LIMITED),
        (-32000, "header not found", NodeFaultKind.BEHIND),
        (-32000, "missing trie node 4ac2 (path ) state is not available", NodeFaultKind.BEHIND),
        (-32001, "Unknown block number", NodeFaultKind.BEHIND),
        (-39001, "Unknown block", NodeFaultKind.BEHIND),
        (-32000, "historical state 0x1 is not available", NodeFaultKind.BEHIND),
        (-32000, "node is syncing", NodeFaultKind.BEHIND),
        (-32603, "boom", NodeFaultKind.INTERNAL),
        (-32603, "Internal error", NodeFaultKind.INTERNAL),
        (-32000, "upstream connect error", NodeFaultKind.INTERNAL),
    ],
)
def test_nodes_own_fault(code: int, message: str, kind: NodeFaultKind) -> None:
    assert call(code, message) is kind


@pytest.mark.parametrize(
    ("code", "message", "data"),
    [
        (3, "execution reverted: Transfer already processed.", None),
        (3, "execution reverted: rate limit exceeded", "0x08c379a0"),  # a contract's words
        (-32000, "execution reverted: header not found", None),
        (-32603, "VM Exception while processing transaction: revert", "0x08c379a0"),
        (-32602, "invalid argument 0: hex string has length 41", None),
        (-32601, "the method does not exist", None),
        (-32000, "nonce too low", None),
        (-32000, "already known", None),
        (-32000, "replacement transaction underpriced", None),
        (-32000, "insufficient funds for gas * price + value", None),
        (-32000, "exceeds block gas limit", None),
        (-32000, "an unknown error", None),
    ],
)
def test_what_every_node_would_report(code: int, message: str, data: Any) -> None:
    assert call(code, message, data) is None


def test_limit_of_logs_is_that_of_the_range() -> None:
    words = "query returned more than 10000 results"
    assert call(-32005, words, method="eth_getLogs") is None
    assert call(-32005, "too many requests", method="eth_getLogs") is NodeFaultKind.RATE_LIMITED


def test_missing_block_is_a_node_behind_and_a_missing_receipt_is_an_answer() -> None:
    assert node_fault_of(("eth_getBlockByNumber", ()), None) is NodeFaultKind.BEHIND
    assert node_fault_of(("eth_getTransactionReceipt", ()), None) is None


@given(st.text(), st.integers(), st.text(), JSON)
def test_no_error_breaks_it(method: str, code: int, message: str, data: Any) -> None:
    assert node_fault_of((method, ()), RpcError(code, message, data)) in {None, *NodeFaultKind}
    assert node_fault_of((method, ()), data) in {None, *NodeFaultKind}
