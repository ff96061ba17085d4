"""Look at all nodes of a chain from time to time, beside the questions.

So a node that rests is tried again without anybody waiting for it, a primary that has
recovered is found, and it is known who lags. A chain with one node needs no survey.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic

from mmbot_pipelines.adapters.rpc.health import NodeFault, ReportedHead, W, lags

_EVERY = 10.0  # seconds

# The very first question waits so long for the nodes to show who is there, instead of a
# whole timeout for a primary that hangs.
_FIRST_SECONDS = 1.0


class HealthPoller(Generic[W]):
    """The looks at one chain's nodes. Threads may share it."""

    def __init__(
        self, nodes: Sequence[W], head: Callable[[W], ReportedHead], clock: Callable[[], float]
    ) -> None:
        """Describe the survey; nothing is asked yet.

        head: asks a node for its newest block, and keeps its health.
        """
        self._nodes = nodes
        self._head = head
        self._clock = clock
        self._last: float | None = None  # when the last look began
        self._busy: set[W] = set()
        self._lock = threading.Lock()

    def poll_if_due(self) -> None:
        """Begin a look if one is due. Only the first is waited for, and not for long."""
        if len(self._nodes) == 1:
            return
        with self._lock:
            now, first = self._clock(), self._last is None
            due = self._last is None or now - self._last >= _EVERY
            if not due and not any(
                n.health.can_retry(now) for n in self._nodes if n not in self._busy
            ):
                return
        done = self._begin()
        if first:
            done.wait(_FIRST_SECONDS)

    def poll_now(self, *, resting: bool = False) -> None:
        """Look at all nodes that do not rest, or at all, and wait for what they say."""
        self._begin(resting=resting).wait()

    def _begin(self, *, resting: bool = False) -> threading.Event:
        """Ask all nodes that are not asked already; return what tells that all have answered."""
        done = threading.Event()
        with self._lock:
            self._last = now = self._clock()
            asked = [
                node
                for node in self._nodes
                if node not in self._busy
                and (resting or node.health.is_serving or node.health.can_retry(now))
            ]
            self._busy.update(asked)
        left, heads = set(asked), dict[W, ReportedHead]()

        def ask(node: W) -> None:
            head = None
            try:
                head = self._head(node)
            except NodeFault:
                pass  # its health knows
            finally:
                with self._lock:
                    node.health.head = head
                    if head is not None:
                        heads[node] = head
                        node.health.height = head.height
                    behind = lags(list(heads.values()), time.time())
                    for other, lag in zip(heads, behind, strict=True):
                        other.health.lag = lag
                    self._busy.discard(node)
                    left.discard(node)
                    if not left:
                        done.set()

        for node in asked:
            threading.Thread(target=ask, args=(node,), daemon=True).start()
        if not asked:
            done.set()
        return done
