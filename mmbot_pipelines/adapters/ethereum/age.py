"""How fresh a chain's nodes are."""

from datetime import UTC, datetime

from mmbot_pipelines.adapters.ethereum import blocks, wire
from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.core.errors import RpcRefused


def newest_block(rpc: Rpc) -> datetime:
    """Return when the newest block was made (its timestamp, eth_getBlockByNumber), in UTC.

    Raises:
        RpcUnavailable: no node answered.
        RpcRefused: a node answered with an error.
        BadAnswer: that is no block.
    """
    answer = rpc.batch([blocks.asked("latest")])[0]
    if isinstance(answer, RpcError):
        raise RpcRefused(f"a node of {rpc.chain} refuses its newest block: {answer}")
    seconds = wire.quantity(wire.fields(answer).get("timestamp"))
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise wire.BadAnswer(f"a node of {rpc.chain} has a block of no possible time") from None
