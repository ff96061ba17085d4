"""The nodes of one chain: asked one by one, with their health kept, and sorted by it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mmbot_pipelines.adapters.ethereum import wire
from mmbot_pipelines.adapters.ethereum.faults import blame
from mmbot_pipelines.adapters.ethereum.health import Kind, best_first
from mmbot_pipelines.adapters.ethereum.node import Answer, Node, NodeFault, Question
from mmbot_pipelines.adapters.ethereum.survey import Survey
from mmbot_pipelines.adapters.ethereum.untrusted import cleaned

_log = logging.getLogger(__name__)

_CHAIN_ID: Question = ("eth_chainId", ())
_HEIGHT: Question = ("eth_blockNumber", ())
_FLOOR_SECONDS = 60.0  # a chain that is set back for longer is believed


@dataclass(frozen=True, slots=True)
class Poll:
    """What one node says."""

    host: str
    height: int  # its newest block; 0 where it was not asked for
    answers: list[Answer]
    blamed: list[Kind]  # what is wrong with the node itself, from its answers


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
        most_questions: int,
        clock: Callable[[], float],
    ) -> None:
        self.all = nodes
        self.floor = Floor(clock)
        self._chain = chain
        self._chain_id = chain_id
        self._most_questions = most_questions
        self._clock = clock
        self._survey = Survey(nodes, self._look, clock)

    def survey(self) -> None:
        """Look at all nodes that do not rest, now."""
        self._survey.look()

    def ordered(self, first: Node | None = None) -> list[Node]:
        """Sort the nodes, best first, by what is known of them now."""
        self._survey.glance()
        return best_first(self.all, first)

    def parts(
        self, questions: Sequence[Question], *, room: int = 0
    ) -> Iterator[Sequence[Question]]:
        """Cut questions into as many as fit into one request, with room for some more."""
        size = max(1, self._most_questions - room)
        for start in range(0, len(questions), size):
            yield questions[start : start + size]

    def ask(self, node: Node, questions: Sequence[Question], *, fresh: bool = False) -> Poll:
        """Ask one node, and keep its health.

        fresh: nothing is taken from a node that is behind the floor.

        Raises:
            NodeFault: it gave no usable answer, serves another chain, or is behind.
        """
        fresh = fresh and len(self.all) > 1  # one node alone is behind nobody
        answers: list[Answer] = []
        heights: list[int] = []
        with self._noting(node):
            if not node.verified:
                self._verify(node, *node.ask([_CHAIN_ID]))
            for part in self.parts(questions, room=int(fresh)):
                told = node.ask([_HEIGHT, *part] if fresh else part)
                if fresh:
                    heights.append(_quantity(told.pop(0), "height"))
                answers += told
            height = min(heights, default=0)
            if fresh and height < self.floor.height:
                raise NodeFault(
                    f"is at block {height}, but {self.floor.height} was seen", Kind.BEHIND
                )
            node.health.worked()
        found = (blame(q, a) for q, a in zip(questions, answers, strict=True))
        blamed = [kind for kind in found if kind is not None]
        for kind in dict.fromkeys(blamed):
            self._fault(node, NodeFault(f"answered with an error ({kind})", kind))
        return Poll(node.host, height, answers, blamed)

    def _look(self, node: Node) -> int:
        """Ask a node for its newest block, and make sure that it still serves our chain."""
        with self._noting(node):
            asked = self._clock()
            chain_id, height = node.ask([_CHAIN_ID, _HEIGHT])
            self._verify(node, chain_id)
            read = _quantity(height, "height")
            if node.health.worked(self._clock() - asked):
                _log.warning("%s: node %s serves again", self._chain, node.host)
        return read

    @contextmanager
    def _noting(self, node: Node) -> Iterator[None]:
        try:
            yield
        except NodeFault as e:
            node.verified = False  # it may come back as another node
            self._fault(node, e)
            raise

    def _fault(self, node: Node, fault: NodeFault) -> None:
        rest = node.health.failed(fault.kind, str(fault), self._clock())
        if rest is not None and len(self.all) > 1:
            _log.warning("%s: node %s %s; it rests %.0f s", self._chain, node.host, fault, rest)

    def _verify(self, node: Node, told: Answer) -> None:
        """Check which chain the node serves (eth_chainId, EIP-695)."""
        chain_id = _quantity(told, "chain id")
        if chain_id != self._chain_id:
            raise NodeFault(
                f"serves chain {chain_id}, "
                f"but MMBOT_{self._chain.upper()}_CHAIN_ID is {self._chain_id}",
                Kind.WRONG_CHAIN,
            )
        node.verified = True


def _quantity(told: Answer, what: str) -> int:
    try:
        return wire.quantity(told)
    except wire.BadAnswer:
        raise NodeFault(f"does not tell its {what}: {cleaned(told)}") from None
