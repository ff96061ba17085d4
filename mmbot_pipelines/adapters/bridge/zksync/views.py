"""Views of zkSync's Escrow, called together at one block. Reads chain."""

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address

from mmbot_pipelines.adapters.bridge.escrow import EscrowOrder, EscrowTerms
from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.evm.contracts import Function, call_trusted_views, refused
from mmbot_pipelines.adapters.rpc import reverts
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block


def terms(rpc: Rpc, escrow: Address, block: Block | str) -> EscrowTerms:
    """Read whom the escrow obeys and pays.

    Raises:
        RpcRefused: a node answered with an error.
        Malformed: there is no such escrow.
    """
    asked = (abi.WALLET, abi.REGISTRY, abi.PAUSED)
    calls = [(escrow, f.encode()) for f in asked]
    wallet, registry, paused = call_trusted_views(rpc, calls, block)
    (wallet_,) = _decoded(abi.WALLET, wallet, escrow)
    (registry_,) = _decoded(abi.REGISTRY, registry, escrow)
    return EscrowTerms(
        paused=_is_paused(paused, escrow),
        wallet=Address(to_checksum_address(wallet_)),
        registry=Address(to_checksum_address(registry_)),
    )


def held(
    rpc: Rpc, escrow: Address, numbers: Sequence[int], block: Block | str
) -> list[EscrowOrder | Failure]:
    """Read what the escrow holds under each order id."""
    views = (abi.GET_ORDER, abi.IS_ORDER_PENDING)
    calls = [(escrow, f.encode(number)) for number in numbers for f in views]
    answers = call_trusted_views(rpc, calls, block)
    return [_held(*pair, escrow) for pair in zip(answers[::2], answers[1::2], strict=True)]


def _held(
    order: bytes | RpcError, pending: bytes | RpcError, escrow: Address
) -> EscrowOrder | Failure:
    try:
        recipient, amount, fee = _decoded(abi.GET_ORDER, order, escrow)
        (is_pending,) = _decoded(abi.IS_ORDER_PENDING, pending, escrow)
    except Failure as fault:
        return fault
    return EscrowOrder(Address(to_checksum_address(recipient)), Wei(amount), Wei(fee), is_pending)


def _is_paused(answer: bytes | RpcError, escrow: Address) -> bool:
    """Return whether the escrow is paused; one that has no such function never is."""
    if answer == b"" or (isinstance(answer, RpcError) and reverts.reason(answer)):
        return False
    (paused,) = _decoded(abi.PAUSED, answer, escrow)
    return bool(paused)


def _decoded(view: Function, answer: bytes | RpcError, escrow: Address) -> tuple[Any, ...]:
    if isinstance(answer, RpcError):
        raise refused(answer, f"{view.name} of the escrow {escrow}")
    return view.decode(answer)
