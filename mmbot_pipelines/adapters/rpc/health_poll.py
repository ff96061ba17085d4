"""Polls the nodes of one chain for their newest block, beside the questions. Reads chain.

So a node whose circuit is open is tried again without anybody waiting for it, a primary that has
recovered is found, and it is known which node lags. A chain with one node is polled on request.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic

from mmbot_pipelines.adapters.rpc.health import NodeFault, ReportedHead, W, lags

_EVERY = 10.0  # seconds

# The very first question waits so long for the nodes to show which of them answer, instead of
# a whole timeout for a primary that hangs.
_FIRST_SECONDS = 1.0


class HealthPoller(Generic[W]):
    """Polls one chain's nodes. Threads may share it."""

    def __init__(
        self, nodes: Sequence[W], head: Callable[[W], ReportedHead], clock: Callable[[], float]
    ) -> None:
        """Store what is polled; nothing is asked yet.

        head: asks a node for its newest block, and records its health.
        """
        self._nodes = nodes
        self._head = head
        self._clock = clock
        self._last: float | None = None  # when the last poll began
        self._busy: dict[W, threading.Event] = {}  # set when the node has answered or failed
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def poll_if_due(self) -> None:
        """Begin a poll if one is due. Only the first is waited for, and not for long."""
        if len(self._nodes) == 1:
            return
        with self._lock:
            now, first = self._clock(), self._last is None
            due = self._last is None or now - self._last >= _EVERY
            if not due and not any(
                n.health.can_retry(now) for n in self._nodes if n not in self._busy
            ):
                return
        answered = self._begin(self._nodes)
        if first:
            end = time.monotonic() + _FIRST_SECONDS
            for event in answered:
                event.wait(max(0.0, end - time.monotonic()))

    def poll_now(self, nodes: Sequence[W] | None = None, *, include_open: bool = False) -> None:
        """Poll nodes, and wait for each, whichever thread asks it.

        nodes: None: all. Which node lags is found out by comparing all.
        include_open: also nodes whose circuit is open.
        """
        for event in self._begin(nodes or self._nodes, include_open=include_open):
            event.wait()

    def _begin(self, nodes: Sequence[W], *, include_open: bool = False) -> list[threading.Event]:
        """Ask the nodes that no other poll is asking; return an event for each node polled."""
        with self._lock:
            if self._pid != os.getpid():  # the threads that ask did not come along with the fork
                self._pid, self._busy = os.getpid(), {}
            now = self._clock()
            if nodes is self._nodes:
                self._last = now
            polled = [
                node
                for node in nodes
                if include_open or node.health.is_serving or node.health.can_retry(now)
            ]
            asked = [node for node in polled if node not in self._busy]
            self._busy |= {node: threading.Event() for node in asked}
            answered = [self._busy[node] for node in polled]
        heads: dict[W, ReportedHead] = {}

        def ask(node: W) -> None:
            head = None
            try:
                head = self._head(node)
            except NodeFault:
                pass  # recorded in its health
            finally:
                with self._lock:
                    node.health.head = head
                    if head is not None:
                        heads[node] = head
                        node.health.height = head.height
                    if nodes is self._nodes:
                        behind = lags(list(heads.values()), time.time())
                        for other, lag in zip(heads, behind, strict=True):
                            other.health.lag = lag
                    self._busy.pop(node).set()

        for node in asked:
            threading.Thread(target=ask, args=(node,), daemon=True).start()
        return answered
