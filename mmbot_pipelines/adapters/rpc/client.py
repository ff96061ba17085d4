"""JSON-RPC of one EVM chain over several nodes, the first being the primary. Reads chain.

    batch   the best node answers; after a fault of its own the next one is asked
    poll    a quorum of nodes answers, none of them behind an earlier poll
    all     every node is asked: for transactions that the whole network must receive

An error that every node would repeat is the answer; no other node is asked.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.error_class import node_fault_of
from mmbot_pipelines.adapters.rpc.fan_out import fan_out
from mmbot_pipelines.adapters.rpc.health import NodeFault, NodeFaultKind, ReportedHead
from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall, RpcError
from mmbot_pipelines.adapters.rpc.nodes import Dialect, Nodes, ResponseTooLarge
from mmbot_pipelines.core.text import cleaned

__all__ = ["Answer", "Poll", "ResponseTooLarge", "Rpc", "RpcCall", "RpcError"]

_HEIGHT: RpcCall = ("eth_blockNumber", ())
_FLOOR_SECONDS = 60.0  # a chain that is lower for longer was really set back


@dataclass(frozen=True, slots=True)
class Poll:
    """One node's answers to a batch of questions."""

    host: str
    height: int  # its newest block; 0 where it was not asked for
    node: Node = field(repr=False)
    answers: list[Answer]
    node_faults: list[NodeFaultKind]  # what is wrong with the node itself, from its answers


class Rpc(Nodes):
    """The nodes of one EVM chain. Threads may share it."""

    def __init__(self, urls: Sequence[str], *, chain: str, chain_id: int, **limits: Any) -> None:
        """Describe the chain; nothing is asked yet. For all that can be given see `Nodes`."""
        super().__init__(urls, chain=chain, chain_id=chain_id, dialect=ETHEREUM, **limits)
        self._floor = _Floor(self.clock)

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Ask one question.

        Raises:
            RpcError: the node answered with an error.
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """
        answer = self.batch([(method, params)])[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        """Ask the best node many questions in few HTTP requests; errors stand in their places.

        What fits into one request is answered by one node.

        Raises:
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """
        answers: list[Answer] = []
        node: Node | None = None
        for part in self.parts(rpc_calls):
            # The rest goes to the node that answered: it has the same view of the chain.
            node, poll = self._best(part, first=node)
            answers += poll.answers
        return answers

    def poll(
        self,
        rpc_calls: Sequence[RpcCall],
        *,
        enough: Callable[[Sequence[Poll]], bool] = lambda _: True,
        min_height: int = 0,
    ) -> list[Poll]:
        """Ask a quorum of nodes; none is behind an earlier poll.

        enough: while such polls are not, one more node is asked, as long as there is one.
        min_height: a node that is behind this block is passed over.

        Raises:
            RpcUnavailable: too few nodes answered.
            WrongChain: all nodes serve another chain.
        """
        if self.quorum == 1:
            polls = [
                self._best(
                    rpc_calls, fresh=True, min_height=min_height, usable=lambda p: enough([p])
                )[1]
            ]
        else:
            found = self.several(
                lambda node: self._answerable(node, rpc_calls, min_height),
                enough=enough,
            )
            polls = [poll for _, poll in found]
        self._reach(polls)
        return polls

    def outvoted(self, polls: Sequence[Poll], what: str) -> None:
        """Record with nodes that a quorum contradicts them."""
        for poll in polls:
            self.record_doubt(poll.node, f"contradicts the others about {what}")

    def all(
        self, rpc_calls: Sequence[RpcCall], *, enough: Callable[[list[Answer]], bool]
    ) -> list[list[Answer]]:
        """Ask every node, also with open circuits; return the answers, the best node's first.

        enough: after such answers the other nodes get one more second.

        Raises:
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """

        asked = fan_out(
            self.ordered(),
            lambda node: self._ask(node, rpc_calls),
            enough=lambda poll: enough(poll.answers),
        )
        answers = [poll.answers for _, poll in asked if isinstance(poll, Poll)]
        if not answers:
            raise self.outage([(n, f) for n, f in asked if isinstance(f, NodeFault)])
        return answers

    def _best(
        self,
        rpc_calls: Sequence[RpcCall],
        *,
        first: Node | None = None,
        fresh: bool = False,
        min_height: int = 0,
        usable: Callable[[Poll], bool] = lambda _: True,
    ) -> tuple[Node, Poll]:
        """Ask node after node until one gives a usable answer without a fault of its own.

        Where all have faults, the answers with the fewest are returned.
        """
        rejected: tuple[Node, Poll] | None = None
        faults: list[tuple[Node, NodeFault]] = []
        partial: tuple[Node, Poll] | None = None
        for node in self.ordered(first):
            if partial and not node.health.is_serving:
                break  # no timeout is waited for while there is an answer
            try:
                poll = self._ask(node, rpc_calls, fresh=fresh, min_height=min_height)
            except NodeFault as e:
                faults.append((node, e))
                continue
            if not poll.node_faults and usable(poll):
                return node, poll
            if not poll.node_faults:
                self.record_doubt(node, "gave an impossible answer")
                rejected = rejected or (node, poll)
                continue
            if NodeFaultKind.RATE_LIMITED in poll.node_faults:
                faults.append((node, NodeFault("limits our rate", NodeFaultKind.RATE_LIMITED)))
            elif partial is None or len(poll.node_faults) < len(partial[1].node_faults):
                partial = node, poll
        found = partial or rejected
        if found is None:
            raise self.outage(faults)
        return found

    def _answerable(self, node: Node, rpc_calls: Sequence[RpcCall], min_height: int) -> Poll:
        """Ask one node of the quorum; an answer with a fault of its own counts as none."""
        poll = self._ask(node, rpc_calls, fresh=True, min_height=min_height)
        if poll.node_faults:
            raise NodeFault(f"gives no usable answer ({poll.node_faults[0]})", poll.node_faults[0])
        return poll

    def _ask(
        self,
        node: Node,
        rpc_calls: Sequence[RpcCall],
        *,
        fresh: bool = False,
        min_height: int = 0,
    ) -> Poll:
        """Ask one node, and record its health.

        fresh: refuse the answers of a node that is behind the floor.
        min_height: refuse those of a node that is behind this block.

        Raises:
            NodeFault: it gave no usable answer, serves another chain, or is behind.
        """
        fresh = fresh and len(self.members) > 1  # one node alone is behind nobody
        answers: list[Answer] = []
        heights: list[int] = []
        with self.using(node):
            for part in self.parts(rpc_calls, room=int(fresh)):
                reported = node.ask([_HEIGHT, *part] if fresh else part)
                if fresh:
                    heights.append(_quantity(reported.pop(0), "height"))
                answers += reported
            height = min(heights, default=0)
            floor = max(self._floor.height, min_height)
            if fresh and height < floor:
                raise NodeFault(f"is at block {height}, but {floor} was seen", NodeFaultKind.BEHIND)
            if fresh:
                node.health.height = height
        found = (node_fault_of(q, a) for q, a in zip(rpc_calls, answers, strict=True))
        node_faults = [kind for kind in found if kind is not None]
        for kind in dict.fromkeys(node_faults):
            self.fault(node, NodeFault(f"answered with an error ({kind})", kind))
        return Poll(node.host, height, node, answers, node_faults)

    def _reach(self, polls: Sequence[Poll]) -> None:
        """Raise the floor to a height that several nodes have reached; one alone sets none."""
        nodes = self.members
        if len(nodes) == 1:
            return
        if self.quorum == 1:
            known = sorted((node.health.height for node in nodes), reverse=True)
            self._floor.reach(min(known[1], *(poll.height for poll in polls)))
        else:
            heights = sorted((poll.height for poll in polls), reverse=True)
            self._floor.reach(heights[self.quorum - 1])


class _Floor:
    """The height that answers have reached: for a minute no older answer is accepted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._height = 0

    @property
    def height(self) -> int:
        """Return the height; 0 where it was reached more than a minute ago."""
        return self._height if self._clock() - self._at < _FLOOR_SECONDS else 0

    def reach(self, height: int) -> None:
        """Record that answers were of this height."""
        self._height, self._at = max(self.height, height), self._clock()


def _check(answers: Sequence[Answer], chain: str, chain_id: int) -> None:
    """Check which chain the node serves (eth_chainId, EIP-695)."""
    found = _quantity(answers[0], "chain id")
    if found != chain_id:
        raise NodeFault(
            f"serves chain {found}, but MMBOT_{chain.upper()}_CHAIN_ID is {chain_id}",
            NodeFaultKind.WRONG_CHAIN,
        )


def _head(answers: Sequence[Answer]) -> ReportedHead:
    height, newest = answers
    made = None
    with contextlib.suppress(decoding.InvalidResponse):
        made = decoding.quantity(decoding.fields(newest).get("timestamp"))
    return ReportedHead.read(_quantity(height, "height"), made)


ETHEREUM = Dialect(
    identity=[("eth_chainId", ())],
    head=[_HEIGHT, ("eth_getBlockByNumber", ("latest", False))],
    check=_check,
    read_head=_head,
)


def _quantity(reported: Answer, what: str) -> int:
    try:
        return decoding.quantity(reported)
    except decoding.InvalidResponse:
        raise NodeFault(f"does not return its {what}: {cleaned(reported)}") from None
