"""JSON-RPC of one chain over several nodes, the first being the primary.

A node that gives no answer is passed over; an error that a node answers is the answer,
for another node would repeat it. Who is asked, and in which order, is decided in
`Rpc._ask` alone.
"""

from collections.abc import Sequence
from typing import Any

from mmbot_pipelines.adapters.ethereum import wire
from mmbot_pipelines.adapters.ethereum.node import Answer, Node, NodeFault, Question, RpcError
from mmbot_pipelines.adapters.ethereum.untrusted import cleaned
from mmbot_pipelines.core.errors import RpcUnavailable, WrongChain

__all__ = ["Answer", "AnswerTooLarge", "Question", "Rpc", "RpcError"]


class AnswerTooLarge(RpcUnavailable):
    """No node answered within the size limit: ask for less."""


class Rpc:
    """The nodes of one chain. Threads may share it."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain: str,
        chain_id: int,
        connect_seconds: float = 3.0,
        read_seconds: float = 15.0,
        most_bytes: int = 16 * 2**20,
        most_questions: int = 50,
    ) -> None:
        """Describe the chain; nothing is asked yet.

        urls: the primary first.
        chain: as the settings name it, e.g. "L1" of MMBOT_L1_CHAIN_ID.
        most_bytes: of one HTTP answer.
        most_questions: in one HTTP request.
        """
        self.chain = chain
        self.chain_id = chain_id
        self._most_questions = most_questions
        self._nodes = [
            Node(
                url,
                connect_seconds=connect_seconds,
                read_seconds=read_seconds,
                most_bytes=most_bytes,
            )
            for url in urls
        ]

    def __repr__(self) -> str:
        return f"Rpc({self.chain}: {', '.join(node.host for node in self._nodes)})"

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Ask one question.

        Raises:
            RpcError: the node answered with an error.
            RpcUnavailable: no node answered.
            WrongChain: a node serves another chain.
        """
        answer = self.batch([(method, params)])[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask many questions in few HTTP requests; errors stand in their places.

        Raises:
            RpcUnavailable: no node answered.
            WrongChain: a node serves another chain.
        """
        answers: list[Answer] = []
        nodes = self._nodes
        for start in range(0, len(questions), self._most_questions):
            node, part = self._ask(nodes, questions[start : start + self._most_questions])
            answers += part
            # The rest goes to the node that answered: it has the same view of the chain.
            nodes = [node, *(other for other in nodes if other is not node)]
        return answers

    def _ask(
        self, nodes: Sequence[Node], questions: Sequence[Question]
    ) -> tuple[Node, list[Answer]]:
        faults: list[str] = []
        too_large = False
        for node in nodes:
            try:
                self._verify(node)
                return node, node.ask(questions)
            except NodeFault as e:
                node.verified = False  # it may come back as another node
                too_large |= e.too_large
                faults.append(f"{node.host} {e}")
        kind = AnswerTooLarge if too_large else RpcUnavailable
        raise kind(f"no RPC node of {self.chain} answered: {'; '.join(faults)}")

    def _verify(self, node: Node) -> None:
        """Check which chain the node serves (eth_chainId, EIP-695), before its first use.

        Raises:
            WrongChain: another one than the settings name.
            NodeFault: it does not say.
        """
        if node.verified:
            return
        seen = node.ask([("eth_chainId", ())])[0]
        try:
            chain_id = wire.quantity(seen)
        except wire.BadAnswer:
            raise NodeFault(f"does not tell its chain id: {cleaned(seen)}") from None
        if chain_id != self.chain_id:
            raise WrongChain(
                f"{node.host} serves chain {chain_id}, "
                f"but MMBOT_{self.chain.upper()}_CHAIN_ID is {self.chain_id}"
            )
        node.verified = True
