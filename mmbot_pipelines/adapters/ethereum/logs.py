"""Logs of a contract in bounded ranges of blocks.

Nodes limit ranges differently, and say so in different words: any refusal halves the
range, and what works is remembered.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.ethereum import blocks, wire
from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.ethereum.rpc import AnswerTooLarge, Rpc
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Block

# Errors of JSON-RPC itself that a smaller range does not change: the request is not
# understood, or there is no such method.
_PERMANENT = (-32700, -32600, -32601)

# A node that is slow or away is asked for less, but not for so little that the way
# back from an outage takes long.
_LEAST_AFTER_OUTAGE = 100

_READINGS = 3  # of a range that a reorg tears


class TornByReorg(RpcUnavailable):
    """The chain changed its blocks while they were read, again and again."""


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
class Wanted:
    """Which logs: of one contract, by their first topics."""

    address: Address
    topics: tuple[bytes, ...]


class LogScanner:
    """Reads logs of one chain. Threads may share it."""

    def __init__(self, rpc: Rpc, *, most_blocks: int = 2000) -> None:
        self._rpc = rpc
        self._most = most_blocks
        self._size = most_blocks  # blocks that nodes took at once lately
        self._lock = threading.Lock()

    def scan(self, wanted: Wanted, first: int, last: int) -> tuple[list[Log], Block]:
        """Read logs from block `first` on, and return them with the last block covered.

        That block comes before `last` where the range was too large for the nodes. All
        logs are of the one chain that ends in it.

        Raises:
            RpcRefused: a node refuses even one block.
            TornByReorg: the blocks were replaced at every reading.
            RpcUnavailable: no node answered.
        """
        while True:
            size = self._size
            end = min(last, first + size - 1)
            span = end - first + 1
            try:
                logs, block = self._read_whole(wanted, first, end)
            except RpcUnavailable as e:
                if isinstance(e, AnswerTooLarge) and span > 1:
                    self._resize(span // 2)
                    continue
                if span == size:
                    self._resize(max(span // 2, min(span, _LEAST_AFTER_OUTAGE)))
                raise
            except RpcError as e:
                if span <= 1 or e.code in _PERMANENT:
                    raise RpcRefused(f"a node of {self._rpc.chain} refuses logs: {e}") from None
                self._resize(span // 2)
                continue
            if span == size:
                self._resize(size + size // 8 + 1)
            return logs, block

    def backwards(self, wanted: Wanted, first: int, last: int) -> Iterator[list[Log]]:
        """Yield the logs of all blocks from `last` back to `first`, a range at a time.

        Raises:
            RpcRefused, TornByReorg, RpcUnavailable: see `scan`.
        """
        while last >= first:
            start = after = max(first, last - self._size + 1)
            found: list[Log] = []
            while after <= last:
                logs, covered = self.scan(wanted, after, last)
                found += logs
                after = covered.number + 1
            yield found
            last = start - 1

    def _resize(self, size: int) -> None:
        with self._lock:
            self._size = max(1, min(size, self._most))

    def _read_whole(self, wanted: Wanted, first: int, last: int) -> tuple[list[Log], Block]:
        for _ in range(_READINGS):
            found = self._read(wanted, first, last)
            if found is not None:
                return found
        raise TornByReorg(
            f"{self._rpc.chain} replaced block {last} while logs up to it were read: "
            "they are read again at the next tick"
        )

    def _read(self, wanted: Wanted, first: int, last: int) -> tuple[list[Log], Block] | None:
        """Read the range between two looks at its last block; None if that one changed.

        A block's hash stands for all blocks before it.
        """
        asked = {
            "address": wanted.address,
            "topics": ["0x" + topic.hex() for topic in wanted.topics],
            "fromBlock": blocks.tag(first),
            "toBlock": blocks.tag(last),
        }
        look = blocks.asked(last)
        before, answer, after = self._rpc.batch([look, ("eth_getLogs", (asked,)), look])
        if isinstance(answer, RpcError):
            raise answer
        block = blocks.told(before, last, self._rpc.chain).block
        if blocks.told(after, last, self._rpc.chain).block != block:
            return None
        if not isinstance(answer, list):
            raise wire.BadAnswer(f"a node of {self._rpc.chain} answered no list of logs")
        logs = [decoded(one) for one in answer]
        _check(logs, wanted, first, block)
        return sorted(logs, key=lambda log: (log.block.number, log.index)), block


def decoded(answer: object) -> Log:
    """Read one log as JSON-RPC gives it.

    Raises:
        BadAnswer: it is none, or one of a block that was taken back.
    """
    log = wire.fields(answer)
    topics = log.get("topics")
    if not isinstance(topics, list) or log.get("removed") not in (None, False):
        raise wire.BadAnswer("a node answered a log without topics, or a removed one")
    return Log(
        address=wire.address(log.get("address")),
        topics=tuple(bytes.fromhex(wire.hash32(topic)[2:]) for topic in topics),
        data=wire.data(log.get("data")),
        block=Block(wire.quantity(log.get("blockNumber")), wire.hash32(log.get("blockHash"))),
        tx=wire.hash32(log.get("transactionHash")),
        index=wire.quantity(log.get("logIndex")),
    )


def _check(logs: Sequence[Log], wanted: Wanted, first: int, last: Block) -> None:
    """Refuse logs that were not asked for: money is paid on their word."""
    for log in logs:
        asked_for = (
            log.address == wanted.address and log.topics[: len(wanted.topics)] == wanted.topics
        )
        in_range = first <= log.block.number < last.number or log.block == last
        if not (asked_for and in_range):
            raise wire.BadAnswer(f"a node answered a log of {log.tx} that was not asked for")
