"""Block headers as a node returns them (eth_getBlockByNumber)."""

from dataclasses import dataclass

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Block


class NodeBehind(RpcUnavailable):
    """The node does not have a block that another answer has referred to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The part of a block's header that the bot uses."""

    block: Block
    gas_limit: Gas
    base_fee: Wei | None  # wei per gas; None before EIP-1559


def tag(block: Block | int | str) -> str:
    """Write a block's number as JSON-RPC does; a tag stays as it is."""
    if isinstance(block, Block):
        block = block.number
    return block if isinstance(block, str) else hex(block)


def header_call(block: int | str) -> RpcCall:
    """Ask for a block's header, by number or tag."""
    return "eth_getBlockByNumber", (tag(block), False)


def parse_header(answer: Answer, block: int | str, chain: str) -> Header:
    """Read the answer to `header_call`.

    Raises:
        NodeBehind: the node has no such block.
        RpcRefused: the node answered with an error.
        InvalidResponse: that is no block.
    """
    if isinstance(answer, RpcError):
        raise RpcRefused(f"a node of {chain} refuses block {block}: {answer}")
    if answer is None:
        raise NodeBehind(f"a node of {chain} does not have block {block}")
    header = decoding.fields(answer)
    base_fee = header.get("baseFeePerGas")
    number = decoding.quantity(header.get("number"))
    if isinstance(block, int) and number != block:
        raise decoding.InvalidResponse(
            f"a node of {chain} answered block {number} instead of {block}"
        )
    return Header(
        block=Block(number, decoding.hash32(header.get("hash"))),
        gas_limit=Gas(decoding.quantity(header.get("gasLimit"))),
        base_fee=None if base_fee is None else Wei(decoding.quantity(base_fee)),
    )


def header(rpc: Rpc, block: int | str) -> Header:
    """Read a block's header, by number or tag.

    Raises:
        NodeBehind, RpcRefused, InvalidResponse: see `parse_header`.
    """
    return parse_header(rpc.batch([header_call(block)])[0], block, rpc.chain)
