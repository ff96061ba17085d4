"""JSON-RPC of Starknet over several nodes, the first being the primary. Reads chain.

The unit is a piece of work: a function of one node that asks it as often as needed. It begins
again at the next node where the first gives no usable answer.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.fan_out import fan_out
from mmbot_pipelines.adapters.rpc.health import NodeFault, NodeFaultKind
from mmbot_pipelines.adapters.rpc.node import Node, RpcError
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.adapters.starknet.node import STARKNET, StarknetNode
from mmbot_pipelines.core.errors import Failure, RpcRefused, RpcUnavailable, WrongChain

T = TypeVar("T")
U = TypeVar("U")

Work = Callable[[StarknetNode], T]


@dataclass(frozen=True, slots=True)
class _NodeAnswer(Generic[T]):
    """What one node has found, or the error that every node would answer."""

    found: list[T]  # one, or none
    against: Failure | None = None


class StarknetRpc(Nodes):
    """The nodes of one Starknet. Threads may share it, and so may forked processes."""

    def __init__(
        self, urls: Sequence[str], *, chain_id: int, work_seconds: float = 60.0, **limits: Any
    ) -> None:
        """Describe the chain; nothing is asked yet. For all that can be given see `Nodes`.

        work_seconds: for all questions of one work to one node, however many it gives reason for.
        """
        one_each = list(dict.fromkeys(urls))  # a node named twice is one witness
        super().__init__(one_each, chain="starknet", chain_id=chain_id, dialect=STARKNET, **limits)
        self._work_seconds = work_seconds

    def ask(self, work: Work[T]) -> T:
        """Do work that asks the best node, however many questions it takes.

        A node that gives no usable answer is passed over, and the work begins again at the
        next; an error that every node would answer is the answer.

        Raises:
            RpcRefused: a node answered with an error.
            RpcUnavailable: no node answered.
            WrongChain: all nodes serve another chain.
        """
        faults: list[tuple[Node, NodeFault]] = []
        for node in self.ordered():
            try:
                return self._do(node, work)
            except NodeFault as e:
                faults.append((node, e))
        own = [node for node, fault in faults if fault.kind is NodeFaultKind.INTERNAL]
        if own:
            # A contract may have provoked it: then it is the answer, and keeps nobody waiting.
            try:
                return self._do(own[0], work, same_at_every_node=True)
            except NodeFault as e:
                faults.append((own[0], e))
        raise self.outage(faults)

    def witnesses(self, work: Work[T]) -> list[T]:
        """Do the same work at as many nodes as the quorum asks for; return what each found.

        Raises:
            RpcRefused: all of them answered with an error.
            RpcDisagrees: some of them did.
            RpcUnavailable: fewer nodes answered.
            WrongChain: all nodes serve another chain.
        """
        return [found for _, found in self._witnesses(work)]

    def agreed(
        self,
        work: Work[T],
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
        try:
            return agree(self.witnesses(work), self.quorum)
        except RpcDisagrees:
            if len(self.members) <= self.quorum:
                raise
        reported = self._everybody(work)
        agreed = agree([found for _, found in reported], self.quorum)
        for node, found in reported if about else ():
            if found != agreed:
                self.record_doubt(node, f"contradicts the others about {about}")
        return agreed

    def columns(
        self,
        work: Work[Sequence[T]],
        word: Callable[[T], str],
        *,
        provable: Callable[[T], bool] = lambda _: True,
        about: str | None = None,
    ) -> list[list[T]]:
        """Do the same work about many things at as many nodes as the quorum asks for.

        Returns the nodes' answers, thing by thing. Where the first ones differ about any, all
        others are asked too; an answer that a quorum gives then stands alone.
        word: what makes two answers alike.
        provable: False for an answer that counts only where all nodes give it.
        about: what the answers are about, where one that is another is a node's fault; what is
            not provable is none, for a node that is behind gives it too.

        Raises:
            RpcDisagrees, RpcRefused, RpcUnavailable, WrongChain: see `witnesses`.
        """
        has_others = len(self.members) > self.quorum
        try:
            reported = self._witnesses(work)
            rows = [found for _, found in reported]
            differ = any(len(set(map(word, found))) > 1 for found in zip(*rows, strict=True))
        except RpcDisagrees:
            if not has_others:
                raise
            differ = True
        if differ and has_others:
            reported = self._everybody(work)
        columns = list(zip(*(found for _, found in reported), strict=True))
        strongest = [self._strongest(found, word, provable) for found in columns]
        for i, (node, _) in enumerate(reported if about else ()):
            contradicted = any(
                len(best) < len(found) and word(found[i]) != word(best[0]) and provable(found[i])
                for found, best in zip(columns, strongest, strict=True)
            )
            if contradicted:
                self.record_doubt(node, f"contradicts the others about {about}")
        return strongest

    def _strongest(
        self, found: Sequence[T], word: Callable[[T], str], provable: Callable[[T], bool]
    ) -> list[T]:
        count = Counter(map(word, found))
        strong = [w for w, times in count.items() if times >= self.quorum]
        alike = [one for one in found if strong == [word(one)]]
        return alike if alike and provable(alike[0]) else list(found)

    def _witnesses(self, work: Work[T]) -> list[tuple[Node, T]]:
        if self.quorum == 1:
            return [(self.members[0], self.ask(work))]
        reported = self.several(lambda node: self._answer(node, work))
        found = [(node, one) for node, answer in reported for one in answer.found]
        against = [answer.against for _, answer in reported if answer.against is not None]
        if found and against:
            raise RpcDisagrees(
                f"nodes of starknet disagree: {len(found)} answered, others: "
                f"{'; '.join(map(str, against))}"
            )
        if against:
            raise against[0]
        return found

    def _everybody(self, work: Work[T]) -> list[tuple[Node, T]]:
        """Do the same work at all nodes; return what the nodes found that answered.

        Raises:
            RpcDisagrees: fewer than the quorum asks for.
        """
        found: list[tuple[Node, T]] = []
        failed: list[str] = []
        for node, answer in fan_out(self.ordered(), lambda node: self._answer(node, work)):
            if isinstance(answer, NodeFault) or answer.against is not None:
                why = answer if isinstance(answer, NodeFault) else answer.against
                failed.append(f"{node.host} {why}")
            else:
                found += [(node, one) for one in answer.found]
        if len(found) < self.quorum:
            raise RpcDisagrees(f"nodes of starknet disagree, others: {'; '.join(failed)}")
        return found

    def _answer(self, node: Node, work: Work[T]) -> _NodeAnswer[T]:
        """Do work at one node that no other stands in for.

        Raises:
            NodeFault: no usable answer.
        """
        try:
            try:
                return _NodeAnswer([self._do(node, work)])
            except NodeFault as e:
                if e.kind is not NodeFaultKind.INTERNAL:
                    raise
                return _NodeAnswer([self._do(node, work, same_at_every_node=True)])
        except (RpcUnavailable, WrongChain) as e:
            raise NodeFault(str(e), NodeFaultKind.BEHIND) from None
        except Failure as e:
            return _NodeAnswer([], against=e)

    def _do(self, node: Node, work: Work[T], *, same_at_every_node: bool = False) -> T:
        """Do work at one node, and record its health."""
        try:
            with self.using(node):
                return work(
                    StarknetNode(
                        self,
                        node,
                        seconds=self._work_seconds,
                        same_at_every_node=same_at_every_node,
                    )
                )
        except RpcError as e:
            raise RpcRefused(f"a node of starknet refuses: {e}") from None
