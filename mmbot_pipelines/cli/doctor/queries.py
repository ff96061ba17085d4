"""What `mmbot doctor` asks a chain, in the words of its checks."""

from typing import Any

from eth_utils.address import to_checksum_address

from mmbot_pipelines.adapters.evm.contracts import Function, call_views, refused
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Address


def query(rpc: Rpc, method: str, *params: Any) -> Any:
    """Ask one question.

    Raises:
        RpcRefused: the node answered with an error.
        RpcUnavailable: no node answered.
        WrongChain: a node serves another chain.
    """
    try:
        return rpc.call(method, params)
    except RpcError as e:
        raise RpcRefused(f"{method}: {e}") from None


def has_code(rpc: Rpc, address: Address) -> bool:
    """Return whether the address holds a contract (eth_getCode)."""
    return bool(decoding.data(query(rpc, "eth_getCode", address, "latest")))


def call_view(rpc: Rpc, to: Address, function: Function, *args: int | bytes) -> Any:
    """Call a view of one result at the newest block; an address comes checksummed.

    Raises:
        RpcRefused: the contract has no such view, or it reverts.
        Malformed: it returns something else.
    """
    (returned,) = call_views(rpc, [(to, function.encode(*args))], "latest")
    if isinstance(returned, RpcError):
        raise refused(returned, f"{function.name}()")
    (value,) = function.decode(returned)
    return Address(to_checksum_address(value)) if function.gives == ("address",) else value
