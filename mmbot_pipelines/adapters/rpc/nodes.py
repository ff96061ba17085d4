"""The failover pool: the nodes of one chain, the healthiest asked first. Reads chain.

It knows no method of any chain: which questions identify a node and return its newest block
comes as a `Dialect`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mmbot_pipelines.adapters.rpc.fan_out import fan_out
from mmbot_pipelines.adapters.rpc.health import (
    NodeFault,
    NodeFaultKind,
    NodeHealthReport,
    ReportedHead,
    best_first,
)
from mmbot_pipelines.adapters.rpc.health_poll import HealthPoller
from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall
from mmbot_pipelines.core.errors import RpcUnavailable, WrongChain

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_OLD_SECONDS = 60.0  # age of a newest block that others are asked about
_LOG_SECONDS = 60.0  # between two lines about one node's answers


class ResponseTooLarge(RpcUnavailable):
    """No node answered within the size limit: ask for less."""


class ReorgDuringRead(RpcUnavailable):
    """The chain replaced its blocks while they were read, again and again."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the nodes of one kind of chain are asked to identify themselves.

    check: takes the answers to `identity`, the chain's name and its id; raises NodeFault
        where the node serves another chain, or cannot be spoken to.
    read_head: takes the answers to `head`; raises NodeFault where they show no block.
    """

    identity: Sequence[RpcCall]
    head: Sequence[RpcCall]
    check: Callable[[Sequence[Answer], str, int], None]
    read_head: Callable[[Sequence[Answer]], ReportedHead]


class Nodes:
    """One chain's nodes, the primary first. Threads may share them."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain: str,
        chain_id: int,
        dialect: Dialect,
        quorum: int = 1,
        connect_seconds: float = 3.0,
        read_seconds: float = 15.0,
        max_bytes: int = 16 * 2**20,
        max_batch: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the chain; nothing is asked yet.

        urls: the primary first.
        chain: as the settings name it, e.g. "L1" of MMBOT_L1_CHAIN_ID.
        quorum: how many nodes are witnesses of what money is paid on.
        max_bytes: of one HTTP answer.
        max_batch: in one HTTP request.
        clock: seconds; only its differences count.
        """
        self.members = [
            Node(
                url,
                connect_seconds=connect_seconds,
                read_seconds=read_seconds,
                max_bytes=max_bytes,
            )
            for url in urls
        ]
        self.chain = chain
        self.chain_id = chain_id
        self.quorum = quorum
        self.clock = clock
        self._dialect = dialect
        self._max_batch = max_batch
        self._doubted: dict[Node, float] = {}  # when it was logged last
        self._poller = HealthPoller(self.members, self._poll_node, clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.chain}: {', '.join(n.host for n in self.members)})"

    def health(self) -> list[NodeHealthReport]:
        """Return how each node is doing, the primary first."""
        return [
            node.health.reading(self.chain, node.host, primary=node is self.members[0])
            for node in self.members
        ]

    def poll_health(self, *, include_open: bool = False) -> None:
        """Poll all nodes now, and wait for each; the pool does so by itself where it has several.

        include_open: also nodes whose circuit is open.
        """
        self._poller.poll_now(include_open=include_open)

    def newest_block(self) -> datetime:
        """Return when the newest block was made (its timestamp), in UTC.

        The best node is asked alone. A chain that stands halts everything: so where that node's
        block is old, the newest counts that as many nodes have as the quorum asks for.

        Raises:
            RpcUnavailable: no node shows a block's time.
            WrongChain: all nodes serve another chain.
        """
        best = self.ordered()[0]
        self._poller.poll_now([best])
        head = best.health.head
        if head and head.made_at is not None and time.time() - head.made_at < _OLD_SECONDS:
            return datetime.fromtimestamp(head.made_at, UTC)
        self.poll_health()
        if all(node.health.head is None for node in self.members):
            self.poll_health(include_open=True)
        heads = [node.health.head for node in best_first(self.members)]
        made = [head.made_at for head in heads if head and head.made_at is not None]
        if not made:
            faults = ((node, node.health.fault) for node in self.members)
            raise self.outage([(node, fault) for node, fault in faults if fault is not None])
        if time.time() - made[0] >= _OLD_SECONDS:
            made = sorted(made, reverse=True)[: self.quorum][-1:]
        return datetime.fromtimestamp(made[0], UTC)

    def ordered(self, first: Node | None = None) -> list[Node]:
        """Return the nodes, best first by their health now."""
        self._poller.poll_if_due()
        return best_first(self.members, first)

    def parts(self, rpc_calls: Sequence[RpcCall], *, room: int = 0) -> Iterator[Sequence[RpcCall]]:
        """Split questions into batches that fit into one request, with room for some more."""
        size = max(1, self._max_batch - room)
        for start in range(0, len(rpc_calls), size):
            yield rpc_calls[start : start + size]

    @contextmanager
    def using(self, node: Node) -> Iterator[None]:
        """Verify a node before its first use, and record in its health how the block ends.

        Raises:
            NodeFault: it gave no usable answer, or serves another chain.
        """
        node.health.refuse_if_paused(self.clock())
        with self._noting(node):
            if not node.verified:
                self._verify(node, node.ask(self._dialect.identity))
            yield
            node.health.record_success()

    def several(
        self,
        ask: Callable[[Node], _T],
        *,
        enough: Callable[[Sequence[_T]], bool] = lambda _: True,
    ) -> list[tuple[Node, _T]]:
        """Ask a quorum of nodes at once; the next ones replace those that fail.

        enough: while such answers are not, one more node is asked, as long as there is one.

        Raises:
            RpcUnavailable: too few nodes answered.
            WrongChain: all nodes serve another chain.
        """
        found: list[tuple[Node, _T]] = []
        faults: list[tuple[Node, NodeFault]] = []
        left = self.ordered()
        while left and (len(found) < self.quorum or not enough([answer for _, answer in found])):
            missing = max(1, self.quorum - len(found))
            asked, left = left[:missing], left[missing:]
            for node, answer in fan_out(asked, ask):
                if isinstance(answer, NodeFault):
                    faults.append((node, answer))
                else:
                    found.append((node, answer))
        if len(found) < self.quorum:
            raise self.outage(faults, answered=len(found))
        return found

    def outage(
        self, faults: Sequence[tuple[Node, NodeFault]], *, answered: int = 0
    ) -> RpcUnavailable | WrongChain:
        """Return the failure that no node answered, or too few, with each one's fault."""
        reported = "; ".join(f"{node.host} {fault}" for node, fault in faults)
        kinds = [fault.kind for _, fault in faults]
        if kinds.count(NodeFaultKind.WRONG_CHAIN) == len(self.members):
            return WrongChain(reported)
        kind = ResponseTooLarge if NodeFaultKind.TOO_LARGE in kinds else RpcUnavailable
        if answered:
            return kind(
                f"only {answered} of the {self.quorum} nodes of {self.chain} that "
                f"MMBOT_RPC_QUORUM asks for answered: {reported}"
            )
        return kind(f"no RPC node of {self.chain} answered: {reported}")

    def record_doubt(
        self, node: Node, why: str, kind: NodeFaultKind = NodeFaultKind.OUTVOTED
    ) -> None:
        """Record that a node's answers are impossible, or contradicted by others."""
        self.fault(node, NodeFault(why, kind))
        now = self.clock()
        if now - self._doubted.get(node, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._doubted[node] = now
            _log.warning("%s: node %s %s", self.chain, node.host, why)

    def fault(self, node: Node, fault: NodeFault) -> None:
        """Record a fault of a node; its circuit may open."""
        open_seconds = node.health.record_failure(fault, self.clock())
        if open_seconds is not None and len(self.members) > 1:
            text = "%s: node %s %s; circuit open for %.0f s"
            _log.warning(text, self.chain, node.host, fault, open_seconds)

    def _poll_node(self, node: Node) -> ReportedHead:
        """Ask a node for its newest block, and verify that it still serves our chain."""
        identity, head = self._dialect.identity, self._dialect.head
        node.health.refuse_if_paused(self.clock())
        with self._noting(node):
            asked = self.clock()
            answers = node.ask([*identity, *head])
            self._verify(node, answers[: len(identity)])
            found = self._dialect.read_head(answers[len(identity) :])
            if node.health.record_success(self.clock() - asked):
                _log.warning("%s: node %s serves again", self.chain, node.host)
        return found

    def _verify(self, node: Node, answers: Sequence[Answer]) -> None:
        self._dialect.check(answers, self.chain, self.chain_id)
        node.verified = True

    @contextmanager
    def _noting(self, node: Node) -> Iterator[None]:
        try:
            yield
        except NodeFault as e:
            node.verified = False  # it may come back as another node
            self.fault(node, e)
            raise
