"""JSON-RPC of one chain over several nodes, the first being the primary.

    batch   the best node answers; what is a node's own fault goes to the next one
    poll    as many nodes answer as money's word needs, none of them behind an earlier poll
    all     every node is asked: for what the whole network shall hear

An error that every node would repeat is the answer, and is asked of no other node.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from mmbot_pipelines.adapters.rpc.fan_out import fan_out
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind, NodeHealthReport
from mmbot_pipelines.adapters.rpc.node import Answer, Node, NodeFault, RpcCall, RpcError
from mmbot_pipelines.adapters.rpc.nodes import Nodes, Poll
from mmbot_pipelines.core.errors import Failure, RpcUnavailable, WrongChain

__all__ = ["Answer", "Poll", "ResponseTooLarge", "Rpc", "RpcCall", "RpcError"]


class ResponseTooLarge(RpcUnavailable):
    """No node answered within the size limit: ask for less."""


class Rpc:
    """The nodes of one chain. Threads may share it."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain: str,
        chain_id: int,
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
        quorum: how many nodes a poll asks.
        max_bytes: of one HTTP answer.
        max_batch: in one HTTP request.
        clock: seconds; only its differences count.
        """
        self.chain = chain
        self.chain_id = chain_id
        self.quorum = quorum
        nodes = [
            Node(
                url,
                connect_seconds=connect_seconds,
                read_seconds=read_seconds,
                max_bytes=max_bytes,
            )
            for url in urls
        ]
        self._nodes = Nodes(nodes, chain=chain, chain_id=chain_id, max_batch=max_batch, clock=clock)

    def __repr__(self) -> str:
        return f"Rpc({self.chain}: {', '.join(node.host for node in self._nodes.all)})"

    def health(self) -> list[NodeHealthReport]:
        """Return how each node is doing, the primary first."""
        nodes = self._nodes.all
        return [n.health.reading(n.host, primary=n is nodes[0]) for n in nodes]

    def poll_health(self) -> None:
        """Look at all nodes that do not rest, now. It happens by itself every few seconds."""
        self._nodes.poll_health()

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
        for part in self._nodes.parts(rpc_calls):
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
        """Ask as many nodes as the quorum has; none is behind an earlier poll.

        enough: while such polls are not, one more node is asked, as long as there is one.
        min_height: nothing is taken from a node that is behind this block.

        Raises:
            RpcUnavailable: too few nodes answered.
            WrongChain: all nodes serve another chain.
        """
        if self.quorum == 1:
            best = self._best(
                rpc_calls, fresh=True, min_height=min_height, usable=lambda p: enough([p])
            )
            polls = [best[1]]
        else:
            polls = self._several(rpc_calls, enough, min_height)
        self._nodes.reach(polls, self.quorum)
        return polls

    def outvoted(self, polls: Sequence[Poll], what: str) -> None:
        """Note with nodes that as many as the quorum has contradict them."""
        for poll in polls:
            self._nodes.record_doubt(
                poll.node, f"contradicts the others about {what}", NodeFaultKind.OUTVOTED
            )

    def all(
        self, rpc_calls: Sequence[RpcCall], *, enough: Callable[[list[Answer]], bool]
    ) -> list[list[Answer]]:
        """Ask every node, also those that rest; return what came, from the best node first.

        enough: such answers, and the nodes that are still silent are waited for no longer
            than a second.

        Raises:
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """

        def ask(node: Node) -> Poll:
            return self._nodes.ask(node, rpc_calls)

        ordered = self._nodes.ordered()
        asked = fan_out(ordered, ask, enough=lambda poll: enough(poll.answers))
        came = dict(asked)
        polls = [poll for n in ordered if isinstance(poll := came.get(n), Poll)]
        if not polls:
            raise self._outage([(n, f) for n, f in came.items() if isinstance(f, NodeFault)])
        return [poll.answers for poll in polls]

    def _best(
        self,
        rpc_calls: Sequence[RpcCall],
        *,
        first: Node | None = None,
        fresh: bool = False,
        min_height: int = 0,
        usable: Callable[[Poll], bool] = lambda _: True,
    ) -> tuple[Node, Poll]:
        """Ask node after node, until one answers usably and without a fault of its own.

        Where all have faults, the answers with the fewest are returned.
        """
        rejected: tuple[Node, Poll] | None = None
        faults: list[tuple[Node, NodeFault]] = []
        partial: tuple[Node, Poll] | None = None
        for node in self._nodes.ordered(first):
            if partial and not node.health.is_serving:
                break  # no timeout is waited for while there is an answer
            try:
                poll = self._nodes.ask(node, rpc_calls, fresh=fresh, min_height=min_height)
            except NodeFault as e:
                faults.append((node, e))
                continue
            if not poll.node_faults and usable(poll):
                return node, poll
            if not poll.node_faults:
                self._nodes.record_doubt(
                    node, "gave an answer that cannot be", NodeFaultKind.OUTVOTED
                )
                rejected = rejected or (node, poll)
                continue
            if NodeFaultKind.RATE_LIMITED in poll.node_faults:
                faults.append((node, NodeFault("limits our rate", NodeFaultKind.RATE_LIMITED)))
            elif partial is None or len(poll.node_faults) < len(partial[1].node_faults):
                partial = node, poll
        found = partial or rejected
        if found is None:
            raise self._outage(faults)
        return found

    def _several(
        self,
        rpc_calls: Sequence[RpcCall],
        enough: Callable[[Sequence[Poll]], bool],
        min_height: int,
    ) -> list[Poll]:
        """Ask as many nodes as the quorum has at once; the next stand in for those that fail."""

        def ask(node: Node) -> Poll:
            return self._nodes.ask(node, rpc_calls, fresh=True, min_height=min_height)

        polls: list[Poll] = []
        faults: list[tuple[Node, NodeFault]] = []
        left = self._nodes.ordered()
        while left and (len(polls) < self.quorum or not enough(polls)):
            missing = max(1, self.quorum - len(polls))
            asked, left = left[:missing], left[missing:]
            for node, poll in fan_out(asked, ask):
                if isinstance(poll, NodeFault):
                    faults.append((node, poll))
                elif poll.node_faults:
                    kind = poll.node_faults[0]
                    faults.append((node, NodeFault(f"cannot tell ({kind})", kind)))
                else:
                    polls.append(poll)
        if len(polls) >= self.quorum:
            return polls
        outage = self._outage(faults)
        if not polls:
            raise outage
        raise type(outage)(
            f"only {len(polls)} of the {self.quorum} nodes of {self.chain} that "
            f"MMBOT_RPC_QUORUM asks for answered: {_join_faults(faults)}"
        )

    def _outage(self, faults: Sequence[tuple[Node, NodeFault]]) -> Failure:
        """Put in one line why no node answered."""
        kinds = [fault.kind for _, fault in faults]
        if kinds.count(NodeFaultKind.WRONG_CHAIN) == len(self._nodes.all):
            return WrongChain(_join_faults(faults))
        kind = ResponseTooLarge if NodeFaultKind.TOO_LARGE in kinds else RpcUnavailable
        return kind(f"no RPC node of {self.chain} answered: {_join_faults(faults)}")


def _join_faults(faults: Sequence[tuple[Node, NodeFault]]) -> str:
    return "; ".join(f"{node.host} {fault}" for node, fault in faults)
