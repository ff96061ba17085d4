"""The nodes of one Starknet: asked one by one, with their health kept, within one event loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind, ReportedHead
from mmbot_pipelines.adapters.rpc.node import NodeFault, RpcError
from mmbot_pipelines.adapters.starknet.node import StarknetNode, same_at_every_node
from mmbot_pipelines.core.errors import Failure, RpcRefused, RpcUnavailable, WrongChain

T = TypeVar("T")

_LOG_SECONDS = 60.0  # between two lines about one node's answers

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeResult(Generic[T]):
    """What a node has found; the node is not named where it was asked alone."""

    found: T
    node: StarknetNode | None = None


class StarknetNodes:
    """The nodes, the primary first."""

    def __init__(
        self,
        nodes: Sequence[StarknetNode],
        *,
        chain_id: int,
        quorum: int,
        work_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.all = nodes
        self._chain_id = chain_id
        self._quorum = quorum
        self._work_seconds = work_seconds
        self._clock = clock
        self._doubted: dict[StarknetNode, float] = {}  # when it was logged last

    async def witnesses(
        self, nodes: Sequence[StarknetNode], work: Callable[[StarknetNode], Awaitable[T]]
    ) -> list[NodeResult[T]]:
        """Do the same work at as many of these nodes as the quorum asks for."""
        if self._quorum == 1:
            return [NodeResult(await self.ask(nodes, work))]
        found: list[NodeResult[T]] = []
        against: list[Failure] = []
        faults: list[Failure] = []
        left = list(nodes)
        while left and (missing := self._quorum - len(found) - len(against)):
            asked, left = left[:missing], left[missing:]
            reported = await asyncio.gather(
                *(self.ask([node], work) for node in asked), return_exceptions=True
            )
            for node, one in zip(asked, reported, strict=True):
                if isinstance(one, RpcUnavailable | WrongChain):
                    faults.append(one)
                elif isinstance(one, Failure):
                    against.append(one)
                elif isinstance(one, BaseException):
                    raise one
                else:
                    found.append(NodeResult(one, node))
        if len(found) == self._quorum:
            return found
        if len(against) == self._quorum:
            raise against[0]
        if found and against:
            raise RpcDisagrees(
                f"nodes of starknet disagree: {len(found)} answered, others say "
                f"{'; '.join(map(str, against))}"
            )
        astray = not found and all(isinstance(fault, WrongChain) for fault in faults)
        raise (WrongChain if astray else RpcUnavailable)(
            f"{len(found)} of the {self._quorum} nodes of starknet that "
            f"MMBOT_RPC_QUORUM asks for answered: {'; '.join(map(str, faults))}"
        )

    async def everybody(
        self, nodes: Sequence[StarknetNode], work: Callable[[StarknetNode], Awaitable[T]]
    ) -> list[NodeResult[T]]:
        """Do the same work at all of these nodes; return what those found that can tell.

        Raises:
            RpcDisagrees: fewer than the quorum asks for.
        """
        reported = await asyncio.gather(
            *(self.ask([node], work) for node in nodes), return_exceptions=True
        )
        for one in reported:
            if isinstance(one, BaseException) and not isinstance(one, Failure):
                raise one
        found = [
            NodeResult(one, node)
            for node, one in zip(nodes, reported, strict=True)
            if not isinstance(one, BaseException)
        ]
        if len(found) < self._quorum:
            others = "; ".join(str(one) for one in reported if isinstance(one, Failure))
            raise RpcDisagrees(f"nodes of starknet disagree, others say {others}")
        return found

    async def ask(
        self, nodes: Sequence[StarknetNode], work: Callable[[StarknetNode], Awaitable[T]]
    ) -> T:
        """Do work at the first of these nodes that gives usable answers."""
        faults: list[tuple[StarknetNode, NodeFault]] = []
        for node in nodes:
            try:
                return await self._ask_one(node, work)
            except NodeFault as e:
                faults.append((node, e))
        own = [node for node, fault in faults if fault.kind is NodeFaultKind.INTERNAL]
        if own:
            # A contract may have provoked it: then it is the answer, and keeps nobody waiting.
            same_at_every_node.set(True)
            try:
                return await self._ask_one(own[0], work)
            except NodeFault as e:
                faults.append((own[0], e))
        reported = "; ".join(f"{node.host} {fault}" for node, fault in faults)
        if all(fault.kind is NodeFaultKind.WRONG_CHAIN for _, fault in faults):
            raise WrongChain(reported)
        raise RpcUnavailable(f"no RPC node of starknet answered: {reported}")

    async def _ask_one(self, node: StarknetNode, work: Callable[[StarknetNode], Awaitable[T]]) -> T:
        """Ask one node, and keep its health."""
        try:
            async with asyncio.timeout(self._work_seconds):
                await node.verify(self._chain_id)
                done = await work(node)
        except TimeoutError:
            fault = NodeFault(f"did not finish in {self._work_seconds:g} s", NodeFaultKind.TIMEOUT)
            self._note(node, fault)
            raise fault from None
        except NodeFault as e:
            self._note(node, e)
            raise
        except RpcError as e:
            raise RpcRefused(f"a node of starknet refuses: {e}") from None
        node.health.record_success()
        return done

    def outvoted(self, node: StarknetNode, what: str) -> None:
        """Note with a node that as many as the quorum has contradict it."""
        why = f"contradicts the others about {what}"
        self._note(node, NodeFault(why, NodeFaultKind.OUTVOTED), verified=node.verified)
        now = self._clock()
        if now - self._doubted.get(node, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._doubted[node] = now
            _log.warning("starknet: node %s %s", node.host, why)

    def _note(self, node: StarknetNode, fault: NodeFault, *, verified: bool = False) -> None:
        node.verified = verified  # where it is away, it may come back as another node
        open_seconds = node.health.record_failure(fault.kind, str(fault), self._clock())
        if open_seconds is not None and len(self.all) > 1:
            _log.warning("starknet: node %s %s; it rests %.0f s", node.host, fault, open_seconds)

    @staticmethod
    async def _age(node: StarknetNode) -> float | None:
        """Return how long ago a newest block was made; None where a node does not say."""
        try:
            newest = await node.asked(node.client.get_block_with_tx_hashes(block_number="latest"))
            return max(0.0, time.time() - newest.timestamp)
        except (NodeFault, RpcError, TypeError):
            return None

    async def poll_now(self, node: StarknetNode) -> ReportedHead:
        """Ask a node for its newest block, and make sure that it still serves our chain."""
        asked = self._clock()
        try:
            await node.verify(self._chain_id, recheck=True)
            newest = await node.newest()
        except NodeFault as e:
            self._note(node, e)
            raise
        except RpcError as e:
            fault = NodeFault(f"does not return its newest block: {e}")
            self._note(node, fault)
            raise fault from None
        if node.health.record_success(self._clock() - asked):
            _log.warning("starknet: node %s serves again", node.host)
        return ReportedHead(newest.number, await self._age(node))
