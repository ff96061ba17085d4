"""Broadcast signed transactions to every node, and classify the rejections. Writes chain."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.core.errors import (
    Failure,
    InsufficientFunds,
    NonceTaken,
    PoolIsTaken,
    RpcRefused,
)
from mmbot_pipelines.core.money import TxHash


class Underpriced(RpcRefused):
    """The node takes the transaction only at higher fees."""


def send(rpc: Rpc, raws: Sequence[bytes]) -> list[Answer]:
    """Send to all nodes; one that accepts is enough, else the best node's rejection counts.

    Raises:
        RpcUnavailable: no node answered.
        WrongChain: all nodes serve another chain.
    """
    if not raws:
        return []
    reported = rpc.all(
        [("eth_sendRawTransaction", ("0x" + raw.hex(),)) for raw in raws],
        enough=lambda answers: not any(isinstance(a, RpcError) for a in answers),
    )
    return [
        next((a for a in answers if not isinstance(a, RpcError)), answers[0])
        for answers in zip(*reported, strict=True)
    ]


def find_known(rpc: Rpc, hashes: Sequence[TxHash]) -> set[TxHash]:
    """Return the transactions that some node has, mined or pending.

    Raises:
        RpcUnavailable: no node answered.
        WrongChain: all nodes serve another chain.
    """
    if not hashes:
        return set()
    reported = rpc.all(
        [("eth_getTransactionByHash", (tx,)) for tx in hashes],
        enough=lambda answers: not any(a is None for a in answers),
    )
    return {
        tx
        for answers in reported
        for tx, answer in zip(hashes, answers, strict=True)
        if not isinstance(answer, RpcError) and is_of(tx, answer)
    }


def is_of(tx: TxHash, answer: Answer) -> bool:
    """Return whether a node's answer is this very transaction (eth_getTransactionByHash).

    Raises:
        InvalidResponse: it is no transaction.
    """
    return answer is not None and decoding.hash32(decoding.fields(answer).get("hash")) == tx.lower()


def rejection(error: RpcError) -> Failure:
    """Return the failure that a node's rejection of a transaction means."""
    error_text = error.message.lower()
    # core/txpool of geth: ErrInflightTxLimitReached, ErrOutOfOrderTxFromDelegated
    if "delegated account" in error_text:
        return PoolIsTaken(f"a node has another transaction of our delegated account: {error}")
    if "nonce too low" in error_text or "nonce is too low" in error_text:
        return NonceTaken(f"its nonce was used by another transaction: {error}")
    if lacks_funds(error):
        return InsufficientFunds(
            f"the wallet cannot pay for the transaction: {error}; send ETH to it"
        )
    if "underpriced" in error_text or "fee" in error_text:
        return Underpriced(f"the fees are too low: {error}")
    return RpcRefused(f"a node refuses the transaction: {error}")


def lacks_funds(error: RpcError) -> bool:
    """Return whether an error means a wallet short of funds (geth, anvil, Nethermind, Besu)."""
    error_text = error.message.lower()
    return (
        ("insufficient" in error_text and ("fund" in error_text or "balance" in error_text))
        or "upfront cost" in error_text
        or "lack of funds" in error_text
    )
