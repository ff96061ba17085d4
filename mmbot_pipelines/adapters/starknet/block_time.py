"""How fresh Starknet's nodes are."""

from datetime import UTC, datetime

from mmbot_pipelines.adapters.rpc.node import NodeFault
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode


def newest_block_time(rpc: StarknetRpc) -> datetime:
    """Return when the newest sealed block was made (its timestamp), in UTC.

    Raises:
        RpcUnavailable: no node gave a usable answer.
        RpcRefused: a node answered with an error.
    """
    return rpc.ask(_made)


async def _made(node: StarknetNode) -> datetime:
    header = await node.asked(node.client.get_block_with_tx_hashes(block_number="latest"))
    try:
        return datetime.fromtimestamp(header.timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        raise NodeFault("has a block of no possible time") from None
