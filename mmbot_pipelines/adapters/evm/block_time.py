"""How fresh a chain's nodes are."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.adapters.evm import blocks
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.core.errors import Failure, RpcRefused

_OLD = timedelta(seconds=60)


def newest_block_time(rpc: Rpc) -> datetime:
    """Return when the newest block was made (its timestamp, eth_getBlockByNumber), in UTC.

    A chain that stands halts everything. So where the best node's block is old, all are asked,
    and the newest counts that as many have as the quorum asks for.

    Raises:
        RpcUnavailable: no node answered.
        RpcRefused: a node answered with an error.
        InvalidResponse: that is no block.
    """
    rpc_call = [blocks.header_call("latest")]
    best = _made(rpc, rpc.batch(rpc_call)[0])
    if datetime.now(UTC) - best < _OLD:
        return best
    found = []
    for (answer,) in rpc.all(rpc_call, enough=lambda _: False):
        with suppress(Failure):
            found.append(_made(rpc, answer))
    found = sorted(found or [best], reverse=True)
    return found[min(rpc.quorum, len(found)) - 1]


def _made(rpc: Rpc, answer: Answer) -> datetime:
    if isinstance(answer, RpcError):
        raise RpcRefused(f"a node of {rpc.chain} refuses its newest block: {answer}")
    seconds = decoding.quantity(decoding.fields(answer).get("timestamp"))
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise decoding.InvalidResponse(
            f"a node of {rpc.chain} has a block of no possible time"
        ) from None
