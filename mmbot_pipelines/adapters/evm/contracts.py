"""Functions and events of contracts: encoded, called in batches, decoded strictly. Reads chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.rpc import decoding, reverts
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.core.text import cleaned

_WORD = 32  # bytes


@dataclass(frozen=True)
class Function:
    """A contract's function whose parameters and results are of static types."""

    name: str
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()

    @cached_property
    def selector(self) -> bytes:
        """Return the four bytes that a call begins with."""
        return keccak(text=f"{self.name}({','.join(self.takes)})")[:4]

    def encode(self, *args: Any) -> bytes:
        """Return the data of a call."""
        return self.selector + encode(self.takes, args)

    def decode(self, returned: bytes) -> tuple[Any, ...]:
        """Read what a call returned.

        Raises:
            Malformed: it is not of the function's types.
        """
        return decode_words(self.name, self.gives, returned)


def decode_words(name: str, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Read static values, one word each: nothing missing, nothing more, no dirty bits.

    name: of the function or event, for the error.

    Raises:
        Malformed: the data is not of these types.
    """
    expected = _WORD * len(types)
    if len(data) != expected:
        raise Malformed(f"{name}: {len(data)} bytes of data instead of {expected}")
    try:
        return decode(types, data)
    except DecodingError as e:
        raise Malformed(f"{name}: {cleaned(e)}") from None


def call_views(
    rpc: Rpc, calls: Sequence[tuple[Address, bytes]], block: int | str
) -> list[bytes | RpcError]:
    """Call views at one block, many in one request (eth_call); errors stand in place.

    Raises:
        RpcUnavailable: no node answered.
    """
    return [_returned(answer) for answer in rpc.batch(_asked(calls, block))]


def call_trusted_views(
    rpc: Rpc, calls: Sequence[tuple[Address, bytes]], block: Block | str
) -> list[bytes | RpcError]:
    """Call views at one block on a quorum of nodes, for decisions about money.

    Raises:
        RpcDisagrees, BlockReplaced, RpcUnavailable: see `quorum.read`.
    """
    answers = quorum.read(rpc, _asked(calls, block), block)
    return [_returned(answer) for answer in answers]


def _asked(calls: Sequence[tuple[Address, bytes]], block: Block | int | str) -> list[RpcCall]:
    return [
        ("eth_call", ({"to": to, "data": "0x" + data.hex()}, blocks.tag(block)))
        for to, data in calls
    ]


def refused(error: RpcError, what: str) -> Failure:
    """Return the failure that a view cannot be read, with the reason."""
    return RpcRefused(f"{what} cannot be read: {reverts.reason(error) or error}")


def _returned(answer: Answer) -> bytes | RpcError:
    return answer if isinstance(answer, RpcError) else decoding.data(answer)
