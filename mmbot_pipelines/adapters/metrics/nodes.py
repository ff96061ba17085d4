"""Ask each RPC node by itself how it is: one cheap question, all nodes at once."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.node import Node, NodeFault
from mmbot_pipelines.core.errors import RpcUnavailable

_CONNECT_SECONDS = 2.0
_READ_SECONDS = 3.0
_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind of chain is asked."""

    chain_id: str
    height: str
    height_in_hex: bool


ETHEREUM = Dialect("eth_chainId", "eth_blockNumber", height_in_hex=True)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one node answered."""

    chain: str
    host: str  # and port; nothing else of the URL
    up: bool  # it answers, and serves the right chain
    seconds: float  # that it took
    height: int | None  # its newest block


class Probe:
    """One node, asked again and again."""

    def __init__(self, chain: str, chain_id: int, url: str, dialect: Dialect = ETHEREUM) -> None:
        """Describe the node; nothing is asked yet.

        chain: as the settings name it, e.g. "L1".
        """
        self.chain = chain
        self._chain_id = chain_id
        self._dialect = dialect
        self._verified = False  # that it serves the expected chain
        self._node = Node(
            url,
            connect_seconds=_CONNECT_SECONDS,
            read_seconds=_READ_SECONDS,
            max_bytes=_MAX_BYTES,
        )

    def ask(self) -> ProbeResult:
        """Ask now; a node that fails is an answer, too."""
        height = None
        asked = time.monotonic()
        try:
            if not self._verified:
                chain_id = decoding.quantity(self._answer(self._dialect.chain_id))
                self._verified = chain_id == self._chain_id
            if self._verified:
                asked = time.monotonic()
                reported = self._answer(self._dialect.height)
                height = decoding.quantity(
                    reported if self._dialect.height_in_hex else _hex(reported)
                )
        except (NodeFault, RpcUnavailable):
            self._verified = False  # it may come back as another node
        took = time.monotonic() - asked
        return ProbeResult(self.chain, self._node.host, height is not None, took, height)

    def _answer(self, method: str) -> object:
        return self._node.ask([(method, ())])[0]


def ask_all(probes: Sequence[Probe]) -> list[ProbeResult]:
    """Ask every node, all at once; two of one chain at one host become "host" and "host#2"."""
    with ThreadPoolExecutor(max(1, len(probes))) as pool:
        answers = list(pool.map(Probe.ask, probes))
    seen: Counter[tuple[str, str]] = Counter()
    for place, health in enumerate(answers):
        name = (health.chain, health.host)
        seen[name] += 1
        if seen[name] > 1:
            answers[place] = replace(health, host=f"{health.host}#{seen[name]}")
    return answers


def _hex(number: object) -> object:
    return hex(number) if type(number) is int and number >= 0 else number
