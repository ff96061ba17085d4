"""What L1 asked for gas at a time long past, as block headers have it. Reads the chain."""

from mmbot_pipelines.adapters.evm.blocks import header_call, parse_header
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Wei


def time_of(rpc: Rpc, block: int | str) -> tuple[int, int]:
    """Return a block's number and its timestamp, in seconds since 1970.

    Raises:
        Failure: no node has it.
    """
    (answer,) = rpc.batch([header_call(block)])
    number = parse_header(answer, block, rpc.chain).block.number
    if isinstance(answer, RpcError):  # parse_header has raised it
        raise RpcRefused(str(answer))
    return number, decoding.quantity(decoding.fields(answer).get("timestamp"))


def base_fee_at(rpc: Rpc, at: int) -> Wei:
    """Return the base fee of the newest block that was made by a time, in wei per gas.

    at: seconds since 1970.

    Raises:
        Failure: no node answered.
    """
    high, newest = time_of(rpc, "latest")
    low = high if newest <= at else 0
    while low < high:
        middle = (low + high + 1) // 2
        if time_of(rpc, middle)[1] <= at:
            low = middle
        else:
            high = middle - 1
    found = parse_header(rpc.batch([header_call(low)])[0], low, rpc.chain).base_fee
    if found is None:
        raise RpcRefused(f"{rpc.chain} had no base fee in block {low}")
    return found
