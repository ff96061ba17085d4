"""The nodes of one chain: asked one by one, with their health kept, and sorted by it."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.error_class import node_fault_of
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind, ReportedHead, best_first
from mmbot_pipelines.adapters.rpc.health_poll import HealthPoller
from mmbot_pipelines.adapters.rpc.node import Answer, Node, NodeFault, RpcCall
from mmbot_pipelines.core.text import cleaned

_log = logging.getLogger(__name__)

_CHAIN_ID: RpcCall = ("eth_chainId", ())
_HEIGHT: RpcCall = ("eth_blockNumber", ())
_NEWEST: RpcCall = ("eth_getBlockByNumber", ("latest", False))
_LOG_SECONDS = 60.0  # between two lines about one node's answers
_FLOOR_SECONDS = 60.0  # a chain that is set back for longer is believed


@dataclass(frozen=True, slots=True)
class Poll:
    """What one node says."""

    host: str
    height: int  # its newest block; 0 where it was not asked for
    node: Node = field(repr=False)
    answers: list[Answer]
    node_faults: list[NodeFaultKind]  # what is wrong with the node itself, from its answers


class Floor:
    """The height that answers have reached: nothing older is believed for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._height = 0

    @property
    def height(self) -> int:
        """Return the height; 0 once it was long ago."""
        return self._height if self._clock() - self._at < _FLOOR_SECONDS else 0

    def reach(self, height: int) -> None:
        """Note that answers were of this height."""
        self._height, self._at = max(self.height, height), self._clock()


class Nodes:
    """One chain's nodes, the primary first. Threads may share them."""

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        chain: str,
        chain_id: int,
        max_batch: int,
        clock: Callable[[], float],
    ) -> None:
        self.all = nodes
        self.floor = Floor(clock)
        self._chain = chain
        self._chain_id = chain_id
        self._max_batch = max_batch
        self._clock = clock
        self._doubted: dict[Node, float] = {}  # when it was logged last
        self._poller = HealthPoller(nodes, self._poll_node, clock)

    def poll_health(self) -> None:
        """Look at all nodes that do not rest, now."""
        self._poller.poll_now()

    def ordered(self, first: Node | None = None) -> list[Node]:
        """Sort the nodes, best first, by what is known of them now."""
        self._poller.poll_if_due()
        return best_first(self.all, first)

    def parts(self, rpc_calls: Sequence[RpcCall], *, room: int = 0) -> Iterator[Sequence[RpcCall]]:
        """Cut questions into as many as fit into one request, with room for some more."""
        size = max(1, self._max_batch - room)
        for start in range(0, len(rpc_calls), size):
            yield rpc_calls[start : start + size]

    def reach(self, polls: Sequence[Poll], quorum: int) -> None:
        """Raise the floor to a height that several nodes vouch for: one alone sets none."""
        if len(self.all) == 1:
            return
        if quorum == 1:
            known = sorted((node.health.height for node in self.all), reverse=True)
            self.floor.reach(min(known[1], *(poll.height for poll in polls)))
        else:
            heights = sorted((poll.height for poll in polls), reverse=True)
            self.floor.reach(heights[quorum - 1])

    def record_doubt(self, node: Node, why: str, kind: NodeFaultKind) -> None:
        """Note with a node that its answers cannot be, or that others contradict them."""
        self._fault(node, NodeFault(why, kind))
        now = self._clock()
        if now - self._doubted.get(node, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._doubted[node] = now
            _log.warning("%s: node %s %s", self._chain, node.host, why)

    def ask(
        self,
        node: Node,
        rpc_calls: Sequence[RpcCall],
        *,
        fresh: bool = False,
        min_height: int = 0,
    ) -> Poll:
        """Ask one node, and keep its health.

        fresh: nothing is taken from a node that is behind the floor.
        min_height: nor from one that is behind this.

        Raises:
            NodeFault: it gave no usable answer, serves another chain, or is behind.
        """
        fresh = fresh and len(self.all) > 1  # one node alone is behind nobody
        answers: list[Answer] = []
        heights: list[int] = []
        with self._noting(node):
            if not node.verified:
                self._verify(node, *node.ask([_CHAIN_ID]))
            for part in self.parts(rpc_calls, room=int(fresh)):
                reported = node.ask([_HEIGHT, *part] if fresh else part)
                if fresh:
                    heights.append(_quantity(reported.pop(0), "height"))
                answers += reported
            height = min(heights, default=0)
            floor = max(self.floor.height, min_height)
            if fresh and height < floor:
                raise NodeFault(f"is at block {height}, but {floor} was seen", NodeFaultKind.BEHIND)
            if fresh:
                node.health.height = height
            node.health.record_success()
        found = (node_fault_of(q, a) for q, a in zip(rpc_calls, answers, strict=True))
        node_faults = [kind for kind in found if kind is not None]
        for kind in dict.fromkeys(node_faults):
            self._fault(node, NodeFault(f"answered with an error ({kind})", kind))
        return Poll(node.host, height, node, answers, node_faults)

    def _poll_node(self, node: Node) -> ReportedHead:
        """Ask a node for its newest block, and make sure that it still serves our chain."""
        with self._noting(node):
            asked = self._clock()
            chain_id, height, newest = node.ask([_CHAIN_ID, _HEIGHT, _NEWEST])
            self._verify(node, chain_id)
            read = _quantity(height, "height")
            if node.health.record_success(self._clock() - asked):
                _log.warning("%s: node %s serves again", self._chain, node.host)
        return ReportedHead(read, _age(newest))

    @contextmanager
    def _noting(self, node: Node) -> Iterator[None]:
        try:
            yield
        except NodeFault as e:
            node.verified = False  # it may come back as another node
            self._fault(node, e)
            raise

    def _fault(self, node: Node, fault: NodeFault) -> None:
        open_seconds = node.health.record_failure(fault.kind, str(fault), self._clock())
        if open_seconds is not None and len(self.all) > 1:
            _log.warning(
                "%s: node %s %s; it rests %.0f s", self._chain, node.host, fault, open_seconds
            )

    def _verify(self, node: Node, reported: Answer) -> None:
        """Check which chain the node serves (eth_chainId, EIP-695)."""
        chain_id = _quantity(reported, "chain id")
        if chain_id != self._chain_id:
            raise NodeFault(
                f"serves chain {chain_id}, "
                f"but MMBOT_{self._chain.upper()}_CHAIN_ID is {self._chain_id}",
                NodeFaultKind.WRONG_CHAIN,
            )
        node.verified = True


def _age(newest: Answer) -> float | None:
    """Return how long ago a newest block was made, in seconds; None where a node does not say."""
    try:
        return max(0.0, time.time() - decoding.quantity(decoding.fields(newest).get("timestamp")))
    except (decoding.InvalidResponse, OverflowError):
        return None


def _quantity(reported: Answer, what: str) -> int:
    try:
        return decoding.quantity(reported)
    except decoding.InvalidResponse:
        raise NodeFault(f"does not return its {what}: {cleaned(reported)}") from None
