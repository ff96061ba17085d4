"""How fresh a chain's nodes are."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.adapters.ethereum import blocks, wire
from mmbot_pipelines.adapters.ethereum.node import Answer, RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.core.errors import Failure, RpcRefused

_OLD = timedelta(seconds=60)


def newest_block(rpc: Rpc) -> datetime:
    """Return when the newest block was made (its timestamp, eth_getBlockByNumber), in UTC.

    A chain that stands halts everything. So where the best node's block is old, all are asked,
    and the newest counts that as many have as the quorum asks for.

    Raises:
        RpcUnavailable: no node answered.
        RpcRefused: a node answered with an error.
        BadAnswer: that is no block.
    """
    question = [blocks.asked("latest")]
    best = _made(rpc, rpc.batch(question)[0])
    if datetime.now(UTC) - best < _OLD:
        return best
    found = []
    for (answer,) in rpc.all(question, enough=lambda _: False):
        with suppress(Failure):
            found.append(_made(rpc, answer))
    found = sorted(found or [best], reverse=True)
    return found[min(rpc.quorum, len(found)) - 1]


def _made(rpc: Rpc, answer: Answer) -> datetime:
    if isinstance(answer, RpcError):
        raise RpcRefused(f"a node of {rpc.chain} refuses its newest block: {answer}")
    seconds = wire.quantity(wire.fields(answer).get("timestamp"))
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise wire.BadAnswer(f"a node of {rpc.chain} has a block of no possible time") from None
