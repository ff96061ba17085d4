"""Views of Starknet's Escrow, called many at once. Reads chain."""

import json
from collections.abc import Sequence

from mmbot_pipelines.adapters.bridge.escrow import EscrowOrder, EscrowTerms
from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.decoding import reason
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block

_NO_ENTRYPOINT = 21  # Starknet JSON-RPC specification, errors
_CONTRACT_ERROR = 40
# What nodes answer instead, as words or as a short string of Cairo.
_NO_ENTRYPOINT_WORDS = ("ENTRYPOINT_NOT_FOUND", f"{int.from_bytes(b'ENTRYPOINT_NOT_FOUND'):x}")


def terms(node: StarknetNode, escrow: Address, at: str | Block) -> EscrowTerms:
    """Read whom the escrow obeys and pays.

    Raises:
        RpcRefused: the escrow has no such view, or there is no escrow.
        Malformed: it answers something else.
    """
    asked = (abi.WALLET, abi.REGISTRY, abi.PAUSED)
    views = [(int(escrow, 16), selector, ()) for selector in asked]
    wallet, registry, paused = node.views(views, at)
    return EscrowTerms(
        paused=_is_paused(paused, escrow),
        wallet=_felts("get_mm_starknet_contract", wallet, escrow, 1).wallet(),
        registry=_felts("get_eth_transfer_contract", registry, escrow, 1).eth_address(),
    )


def held(
    node: StarknetNode, escrow: Address, numbers: Sequence[int], at: str | Block
) -> list[EscrowOrder | Failure]:
    """Read what the escrow holds under each order id."""
    views = [
        (int(escrow, 16), selector, abi.halves(number))
        for number in numbers
        for selector in (abi.GET_ORDER, abi.GET_ORDER_PENDING)
    ]
    answers = node.views(views, at)
    return [_held(*pair, escrow) for pair in zip(answers[::2], answers[1::2], strict=True)]


def lacks_function(error: RpcError) -> bool:
    """Return whether a call failed because the contract has no such function."""
    reported = json.dumps([error.message, error.data], default=str)
    error_text = error.code == _CONTRACT_ERROR and any(
        words in reported for words in _NO_ENTRYPOINT_WORDS
    )
    return error_text or error.code == _NO_ENTRYPOINT


def _felts(view: str, answer: list[int] | RpcError, escrow: Address, count: int) -> abi.Felts:
    if isinstance(answer, RpcError):
        raise RpcRefused(f"{view} of the escrow {escrow} cannot be read: {reason(answer)}")
    return abi.Felts(view, answer, count)


def _held(
    order: list[int] | RpcError, pending: list[int] | RpcError, escrow: Address
) -> EscrowOrder | Failure:
    try:
        felts = _felts("get_order", order, escrow, 5)
        recipient, amount, fee = felts.eth_address(), felts.u256(), felts.u256()
        is_pending = _felts("get_order_pending", pending, escrow, 1).boolean()
    except (RpcRefused, Malformed) as fault:
        return fault
    return EscrowOrder(recipient, Wei(amount), Wei(fee), is_pending)


def _is_paused(answer: list[int] | RpcError, escrow: Address) -> bool:
    """Return whether the escrow is paused; one that has no such function never is."""
    if isinstance(answer, RpcError) and lacks_function(answer):
        return False
    return _felts("is_paused", answer, escrow, 1).boolean()
