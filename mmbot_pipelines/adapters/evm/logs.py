"""Logs of a contract in bounded ranges of blocks. Reads chain.

Nodes limit ranges differently, with errors of their own: any refusal halves the range, and
the size that works is remembered.

    scan       the logs of the best node
    witnessed  the logs of each node of a quorum: a single one can hide nothing
    backwards  the logs that a quorum of nodes shows alike: a single one can invent nothing
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from mmbot_pipelines.adapters.evm.log_range import Found, Log, LogFilter, logs_of, questions
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Poll, ResponseTooLarge, Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.rpc.nodes import ReorgDuringRead
from mmbot_pipelines.core.errors import Failure, RpcRefused, RpcUnavailable
from mmbot_pipelines.core.outbox import Block

T = TypeVar("T")

# Errors of JSON-RPC itself that a smaller range does not change: the request is not
# understood, or there is no such method.
_PERMANENT = (-32700, -32600, -32601)

# A node that is slow or away is asked for less, but not for so little that the way
# back from an outage takes long.
_MIN_AFTER_OUTAGE = 100

_READINGS = 3  # of a range that a reorg tears


class LogScanner:
    """Reads logs of one chain. Threads may share it."""

    def __init__(self, rpc: Rpc, *, max_blocks: int = 2000) -> None:
        self._rpc = rpc
        self._max = max_blocks
        self._size = max_blocks  # blocks that nodes took at once lately
        self._lock = threading.Lock()

    def scan(self, wanted: LogFilter, first: int, last: int) -> tuple[list[Log], Block]:
        """Read logs from block `first` on, and return them with the last block covered.

        That block comes before `last` where the range was too large for the nodes. All
        logs are of the one chain that ends in it.

        Raises:
            RpcRefused: a node refuses even one block.
            ReorgDuringRead: the blocks were replaced at every reading.
            RpcUnavailable: no node answered.
        """
        return self._sized(
            first, last, lambda end: self._whole(end, lambda: self._read(wanted, first, end))
        )

    def witnessed(self, wanted: LogFilter, first: int, last: int) -> tuple[list[list[Log]], Block]:
        """Read logs at a quorum of nodes; return what each shows, and the last block.

        All of them have that block. Each may hide logs, or invent some.

        Raises:
            RpcDisagrees: they have different blocks.
            RpcRefused, ReorgDuringRead, RpcUnavailable: see `scan`.
        """
        if self._rpc.quorum == 1:
            logs, block = self.scan(wanted, first, last)
            return [logs], block
        found = self._polled(wanted, first, last, lambda logs, block: block)
        return [logs for logs, _ in found], found[0][1]

    def _agreed(self, wanted: LogFilter, first: int, last: int) -> tuple[list[Log], Block]:
        """Read the logs that a quorum of nodes shows alike."""
        if self._rpc.quorum == 1:
            return self.scan(wanted, first, last)
        return self._polled(wanted, first, last, lambda logs, block: (block, tuple(logs)))[0]

    def _polled(
        self,
        wanted: LogFilter,
        first: int,
        last: int,
        alike: Callable[[list[Log], Block], Hashable],
    ) -> list[tuple[list[Log], Block]]:
        """Return the equal answers of a quorum of nodes."""

        def asked(end: int) -> list[tuple[list[Log], Block]] | None:
            votes = _RangeVotes(
                self._rpc.quorum, lambda poll: self._read_range(poll, wanted, first, end)
            )

            def enough(polls: Sequence[Poll]) -> bool:
                return votes.winner(polls, alike) is not None

            polls = self._rpc.poll(questions(wanted, first, end), enough=enough)
            if (winner := votes.winner(polls, alike)) is not None:
                self._rpc.outvoted(votes.others(polls, winner), f"logs up to block {end}")
                return [found for _, found in winner]
            raise votes.against(polls, f"nodes of {self._rpc.chain} show different logs")

        return self._sized(first, last, lambda end: self._whole(end, lambda: asked(end)))

    def _sized(self, first: int, last: int, read: Callable[[int], T]) -> T:
        """Read from `first` up to a block that nodes take at once, `last` at most."""
        while True:
            size = self._size
            end = min(last, first + size - 1)
            span = end - first + 1
            try:
                found = read(end)
            except RpcUnavailable as e:
                if isinstance(e, ResponseTooLarge) and span > 1:
                    self._resize(span // 2)
                    continue
                if span == size:
                    self._resize(max(span // 2, min(span, _MIN_AFTER_OUTAGE)))
                raise
            except RpcError as e:
                if span <= 1 or e.code in _PERMANENT:
                    raise RpcRefused(f"a node of {self._rpc.chain} refuses logs: {e}") from None
                self._resize(span // 2)
                continue
            if span == size:
                self._resize(size + size // 8 + 1)
            return found

    def backwards(self, wanted: LogFilter, first: int, last: int) -> Iterator[list[Log]]:
        """Yield the logs of all blocks from `last` back to `first`, a range at a time.

        Raises:
            RpcDisagrees: too few nodes show the same.
            RpcRefused, ReorgDuringRead, RpcUnavailable: see `scan`.
        """
        while last >= first:
            start = after = max(first, last - self._size + 1)
            found: list[Log] = []
            while after <= last:
                logs, covered = self._agreed(wanted, after, last)
                found += logs
                after = covered.number + 1
            yield found
            last = start - 1

    def _resize(self, size: int) -> None:
        with self._lock:
            self._size = max(1, min(size, self._max))

    def _whole(self, last: int, read: Callable[[], T | None]) -> T:
        for _ in range(_READINGS):
            found = read()
            if found is not None:
                return found
        raise ReorgDuringRead(
            f"{self._rpc.chain} replaced block {last} while logs up to it were read: "
            "they are read again at the next tick"
        )

    def _read(self, wanted: LogFilter, first: int, last: int) -> tuple[list[Log], Block] | None:
        answers = self._rpc.batch(questions(wanted, first, last))
        return logs_of(answers, wanted, first, last, self._rpc.chain)

    def _read_range(
        self, poll: Poll, wanted: LogFilter, first: int, last: int
    ) -> tuple[list[Log], Block]:
        found = logs_of(poll.answers, wanted, first, last, self._rpc.chain)
        if found is None:
            raise ReorgDuringRead(f"{poll.host} replaced block {last} while it was asked")
        return found


class _RangeVotes:
    """The nodes' answers for one range, grouped by equal logs."""

    def __init__(self, quorum: int, read: Callable[[Poll], Found]) -> None:
        self._quorum = quorum
        self._read = read

    def winner(
        self, polls: Sequence[Poll], alike: Callable[[list[Log], Block], Hashable]
    ) -> list[tuple[Poll, Found]] | None:
        """Return the polls of a quorum with equal answers, or None."""
        groups: dict[Hashable, list[tuple[Poll, Found]]] = {}
        for poll in polls:
            try:
                found = self._read(poll)
            except (Failure, RpcError):
                continue
            groups.setdefault(alike(*found), []).append((poll, found))
        return next((group for group in groups.values() if len(group) >= self._quorum), None)

    def others(self, polls: Sequence[Poll], winner: list[tuple[Poll, Found]]) -> list[Poll]:
        """Return the polls with other logs; those that only refuse are left out."""
        hosts = {poll.host for poll, _ in winner}
        return [
            poll
            for poll in polls
            if poll.host not in hosts and not any(isinstance(a, RpcError) for a in poll.answers)
        ]

    def against(self, polls: Sequence[Poll], what: str) -> Exception:
        """Return why there is no winner: a refusal first, for a smaller range may be taken."""
        faults: list[Exception] = []
        for poll in polls:
            try:
                self._read(poll)
            except (Failure, RpcError) as e:
                faults.append(e)
        refused = next((e for e in faults if isinstance(e, RpcError)), None)
        if len(faults) < len(polls) - 1 and refused is None:
            return RpcDisagrees(f"{what}: all is read again at the next tick")
        return refused or faults[0]
