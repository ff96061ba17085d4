"""JSON-RPC of Starknet over several nodes, the first being the primary.

starknet-py is async; the bridge is not. One event loop in a thread of its own serves all
callers: it keeps connections open, which halves the time of an answer against a loop per
call (0.65 ms to 1.4 ms for one, 71 ms to 123 ms for 200 at once, measured on a local node).
"""

import asyncio
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import aiohttp

from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeHealthReport, ReportedHead, best_first
from mmbot_pipelines.adapters.rpc.health_poll import HealthPoller
from mmbot_pipelines.adapters.rpc.node import NodeFault
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.adapters.starknet.nodes import StarknetNodes

T = TypeVar("T")
U = TypeVar("U")


class StarknetRpc:
    """The nodes of one Starknet. Threads may share it, and so may forked processes."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int,
        quorum: int = 1,
        connect_seconds: float = 3.0,
        read_seconds: float = 15.0,
        max_bytes: int = 16 * 2**20,
        max_concurrent: int = 16,
        work_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the chain; nothing is asked yet.

        urls: the primary first.
        quorum: how many nodes are witnesses of what money is paid on.
        max_bytes: of one HTTP answer.
        max_concurrent: requests to one node.
        work_seconds: for all questions of one work to one node, however many it gives reason for.
        clock: seconds; only its differences count.
        """
        self.chain_id = chain_id
        self._urls = list(dict.fromkeys(urls))  # a node named twice is one witness
        self.quorum = quorum
        self._timeout = aiohttp.ClientTimeout(
            total=connect_seconds + read_seconds, sock_connect=connect_seconds
        )
        self._max_bytes = max_bytes
        self._max_concurrent = max_concurrent
        self._work_seconds = work_seconds
        self._clock = clock
        self._opening = threading.Lock()
        self._open: _Loop | None = None

    def health(self) -> list[NodeHealthReport]:
        """Return how each node is doing, the primary first."""
        nodes = self._loop().nodes.all
        return [n.health.reading(n.host, primary=n is nodes[0]) for n in nodes]

    def poll_health(self) -> None:
        """Look at all nodes that do not rest, now. It happens by itself every few seconds."""
        self._loop().poll_health()

    def ask(self, work: Callable[[StarknetNode], Awaitable[T]]) -> T:
        """Do work that asks the best node, however many questions it takes.

        A node that gives no usable answer is passed over, and the work begins anew at the
        next; an error that every node would answer is the answer.

        Raises:
            RpcRefused: a node answered with an error.
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """
        loop = self._loop()
        return loop.run(loop.nodes.ask(loop.ordered(), work))

    def witnesses(self, work: Callable[[StarknetNode], Awaitable[T]]) -> list[T]:
        """Do the same work at as many nodes as the quorum asks for; return what each found.

        Raises:
            RpcRefused: all of them answered with an error.
            RpcDisagrees: some of them did.
            RpcUnavailable: fewer nodes answered.
            WrongChain: all nodes serve another chain.
        """
        loop = self._loop()
        return [reported.found for reported in loop.run(loop.nodes.witnesses(loop.ordered(), work))]

    def agreed(
        self,
        work: Callable[[StarknetNode], Awaitable[T]],
        agree: Callable[[Sequence[T], int], U],
        *,
        about: str | None = None,
    ) -> U:
        """Do the same work at as many nodes as the quorum asks for; return what they agree on.

        Where the first ones do not agree, all others are asked too.
        agree: takes what was found and the quorum; raises RpcDisagrees.
        about: what the answers are about, where one that is another is a node's fault.

        Raises:
            RpcDisagrees: not as many agree.
            RpcRefused, RpcUnavailable, WrongChain: see `witnesses`.
        """
        loop = self._loop()
        ordered = loop.ordered()
        try:
            first = loop.run(loop.nodes.witnesses(ordered, work))
            return agree([reported.found for reported in first], self.quorum)
        except RpcDisagrees:
            if len(ordered) <= self.quorum:
                raise
        everybody = loop.run(loop.nodes.everybody(ordered, work))
        agreed = agree([reported.found for reported in everybody], self.quorum)
        for reported in everybody if about else ():
            if reported.node is not None and reported.found != agreed:
                loop.nodes.outvoted(reported.node, str(about))
        return agreed

    def columns(
        self,
        work: Callable[[StarknetNode], Awaitable[Sequence[T]]],
        word: Callable[[T], str],
        *,
        provable: Callable[[T], bool] = lambda _: True,
        about: str | None = None,
    ) -> list[list[T]]:
        """Do the same work about many things at as many nodes as the quorum asks for.

        Returns what the nodes say, thing by thing. Where the first ones differ about any, all
        others are asked too; what as many say alike as the quorum asks for then stands alone.
        word: what makes two answers alike.
        provable: False for what only all nodes together can say.
        about: what the answers are about, where one that is another is a node's fault; what is
            not provable is none, for a node that is behind says it.

        Raises:
            RpcDisagrees, RpcRefused, RpcUnavailable, WrongChain: see `witnesses`.
        """
        loop = self._loop()
        ordered = loop.ordered()
        try:
            reported = loop.run(loop.nodes.witnesses(ordered, work))
            rows = [one.found for one in reported]
            differ = any(len(set(map(word, found))) > 1 for found in zip(*rows, strict=True))
        except RpcDisagrees:
            if len(ordered) <= self.quorum:
                raise
            differ = True
        if differ and len(ordered) > self.quorum:
            reported = loop.run(loop.nodes.everybody(ordered, work))
        columns = list(zip(*(one.found for one in reported), strict=True))
        strongest = [self._strongest(found, word, provable) for found in columns]
        for i, one in enumerate(reported if about else ()):
            contradicted = any(
                len(best) < len(found) and word(found[i]) != word(best[0]) and provable(found[i])
                for found, best in zip(columns, strongest, strict=True)
            )
            if contradicted and one.node is not None:
                loop.nodes.outvoted(one.node, str(about))
        return strongest

    def _strongest(
        self, found: Sequence[T], word: Callable[[T], str], provable: Callable[[T], bool]
    ) -> list[T]:
        count = Counter(map(word, found))
        strong = [w for w, times in count.items() if times >= self.quorum]
        alike = [one for one in found if strong == [word(one)]]
        return alike if alike and provable(alike[0]) else list(found)

    def _loop(self) -> "_Loop":
        with self._opening:
            # A thread does not outlive a fork: the child needs a loop of its own.
            if self._open is None or self._open.pid != os.getpid():
                self._open = _Loop(self._nodes, self._clock)
                weakref.finalize(self, self._open.close)
            return self._open

    def _nodes(self) -> tuple[aiohttp.ClientSession, StarknetNodes]:
        session = aiohttp.ClientSession(timeout=self._timeout)
        nodes = [
            StarknetNode(
                url, session, max_concurrent=self._max_concurrent, max_bytes=self._max_bytes
            )
            for url in self._urls
        ]
        return session, StarknetNodes(
            nodes,
            chain_id=self.chain_id,
            quorum=self.quorum,
            work_seconds=self._work_seconds,
            clock=self._clock,
        )


class _Loop:
    """An event loop in a thread, with the nodes that are asked from it."""

    def __init__(
        self,
        make: Callable[[], tuple[aiohttp.ClientSession, StarknetNodes]],
        clock: Callable[[], float],
    ) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="starknet-rpc", daemon=True
        )
        self._thread.start()

        async def made() -> tuple[aiohttp.ClientSession, StarknetNodes]:
            return make()

        self._session, self.nodes = self.run(made())
        self._poller = HealthPoller(self.nodes.all, self._head, clock)

    def ordered(self) -> list[StarknetNode]:
        """Sort the nodes, best first, by what is known of them now."""
        self._poller.poll_if_due()
        return best_first(self.nodes.all)

    def poll_health(self) -> None:
        """Look at all nodes that do not rest, now."""
        self._poller.poll_now()

    def _head(self, node: StarknetNode) -> ReportedHead:
        try:
            return self.run(self.nodes.poll_now(node))
        except (CancelledError, RuntimeError):
            raise NodeFault("was not waited for: its client is closed") from None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work in the loop, from any other thread."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Close the connections and end the thread; any thread may call it, and at exit."""
        if self.pid != os.getpid() or not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        if threading.current_thread() is not self._thread:
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()
        self._loop.stop()
