"""Whose fault an error is: the question's, so that every node repeats it, or the node's own.

Clients share neither codes nor words; these are of geth, erigon, Nethermind, Besu, reth,
anvil, L2s and the large providers. What is not known here counts as the question's.
"""

from mmbot_pipelines.adapters.rpc import reverts
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError

_LIMIT_CODES = (-32005, 429)  # EIP-1474 "limit exceeded", and HTTP's

_LIMITED = (
    "rate limit",
    "ratelimit",
    "too many requests",
    "request limit",
    "request rate",
    "requests per second",
    "per second capacity",
    "compute units",
    "quota",
    "throttled",
    "daily request",
)
_LACKS_STATE = (
    "header not found",
    "missing trie node",
    "unknown block",
    "block not found",
    "cannot find block",
    "could not find block",
    "no state available",
    "state not available",
    "state unavailable",
    "state is not available",
    "historical state",
    "pruned",
    "not synced",
    "syncing",
)
_BROKEN = (
    "internal error",
    "internal server error",
    "service unavailable",
    "temporarily unavailable",
    "bad gateway",
    "gateway timeout",
    "upstream",
    "no backend",
    "database",
)


def node_fault_of(rpc_call: RpcCall, answer: Answer) -> NodeFaultKind | None:
    """Return what is wrong with the node, or None where every node would answer the same."""
    method, _ = rpc_call
    if answer is None and method == "eth_getBlockByNumber":
        return NodeFaultKind.BEHIND
    if not isinstance(answer, RpcError):
        return None
    return _error(method, answer)


def _error(method: str, error: RpcError) -> NodeFaultKind | None:
    # A contract chooses the text of its revert: it is no evidence about the node.
    if reverts.reason(error) is not None:
        return None
    error_text = error.message.lower()
    limited = any(words in error_text for words in _LIMITED)
    # Of logs, the limit exceeded is mostly that of the range: a smaller one is asked for.
    if limited or (error.code in _LIMIT_CODES and method != "eth_getLogs"):
        return NodeFaultKind.RATE_LIMITED
    if any(words in error_text for words in _LACKS_STATE):
        return NodeFaultKind.BEHIND
    if error.code == -32603 or any(words in error_text for words in _BROKEN):
        return NodeFaultKind.INTERNAL
    return None
