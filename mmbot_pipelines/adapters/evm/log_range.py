"""Logs as JSON-RPC gives them, strictly read: of one range of blocks, or of a receipt. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.evm import blocks
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One event that a contract has logged."""

    address: Address
    topics: tuple[bytes, ...]  # the event's signature hash first
    data: bytes
    block: Block
    tx: TxHash
    index: int  # in its block


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which logs: of one contract, by their first topics."""

    address: Address
    topics: tuple[bytes, ...]


Found = tuple[list[Log], Block]


def questions(wanted: LogFilter, first: int, last: int) -> list[RpcCall]:
    """Ask for a range between two reads of its last block: its hash pins all before it."""
    asked = {
        "address": wanted.address,
        "topics": ["0x" + topic.hex() for topic in wanted.topics],
        "fromBlock": blocks.tag(first),
        "toBlock": blocks.tag(last),
    }
    header_now = blocks.header_call(last)
    return [header_now, ("eth_getLogs", (asked,)), header_now]


def logs_of(
    answers: Sequence[Answer], wanted: LogFilter, first: int, last: int, chain: str
) -> Found | None:
    """Read the answers to `questions`; None if the last block changed in between."""
    before, answer, after = answers
    if isinstance(answer, RpcError):
        raise answer
    block = blocks.parse_header(before, last, chain).block
    if blocks.parse_header(after, last, chain).block != block:
        return None
    if not isinstance(answer, list):
        raise decoding.InvalidResponse(f"a node of {chain} answered no list of logs")
    logs = [decode_log(one) for one in answer]
    _check(logs, wanted, first, block)
    return sorted(logs, key=lambda log: (log.block.number, log.index)), block


def decode_log(answer: object) -> Log:
    """Read one log as JSON-RPC gives it.

    Raises:
        InvalidResponse: it is none, or one of a block that was reorged out.
    """
    log = decoding.fields(answer)
    topics = log.get("topics")
    if not isinstance(topics, list) or log.get("removed") not in (None, False):
        raise decoding.InvalidResponse("a node answered a log without topics, or a removed one")
    return Log(
        address=decoding.address(log.get("address")),
        topics=tuple(bytes.fromhex(decoding.hash32(topic)[2:]) for topic in topics),
        data=decoding.data(log.get("data")),
        block=Block(
            decoding.quantity(log.get("blockNumber")), decoding.hash32(log.get("blockHash"))
        ),
        tx=decoding.hash32(log.get("transactionHash")),
        index=decoding.quantity(log.get("logIndex")),
    )


def receipt_logs(receipt: Mapping[str, object], tx: TxHash) -> list[Log]:
    """Read the logs of a transaction's receipt.

    Raises:
        InvalidResponse: it is a receipt of another transaction, or its logs are none.
    """
    if decoding.hash32(receipt.get("transactionHash")) != tx.lower():
        raise decoding.InvalidResponse(f"a node answered a receipt that is not of {tx}")
    logs = receipt.get("logs")
    if not isinstance(logs, list):
        raise decoding.InvalidResponse(f"a node answered a receipt of {tx} without logs")
    return [decode_log(log) for log in logs]


def _check(logs: Sequence[Log], wanted: LogFilter, first: int, last: Block) -> None:
    """Refuse logs that were not asked for: money is paid because of them."""
    for log in logs:
        asked_for = (
            log.address == wanted.address and log.topics[: len(wanted.topics)] == wanted.topics
        )
        in_range = first <= log.block.number < last.number or log.block == last
        if not (asked_for and in_range):
            raise decoding.InvalidResponse(
                f"a node answered a log of {log.tx} that was not asked for"
            )
