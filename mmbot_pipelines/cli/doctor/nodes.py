"""What `mmbot doctor` asks each RPC node by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.evm.quorum import newest
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.cli.doctor.findings import CheckResult, fault, note, ok
from mmbot_pipelines.cli.doctor.queries import query
from mmbot_pipelines.cli.screen import format_duration
from mmbot_pipelines.core.errors import Failure, WrongChain
from mmbot_pipelines.settings import place

_MAX_LAG = 5  # blocks behind the best node of the chain
_OLD_BLOCK = 300  # seconds
_READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NodeHead:
    """The newest block that one node knows, and its time in seconds of the epoch."""

    number: int
    at: float


def nodes(
    chain: str,
    chain_id: int,
    urls: Sequence[str],
    clock: Callable[[], float] = time.time,
) -> Iterator[CheckResult]:
    """Check that each node answers, serves the right chain, and is not behind the others."""
    return compared(
        chain,
        str(chain_id),
        urls,
        lambda url: _head(single(chain, chain_id, url)),
        max_lag=_MAX_LAG,
        clock=clock,
    )


def compared(
    chain: str,
    name: str,
    urls: Sequence[str],
    head: Callable[[str], NodeHead],
    *,
    max_lag: int,
    clock: Callable[[], float],
) -> Iterator[CheckResult]:
    """Check the nodes of any kind of chain by their heads.

    name: what the chain calls itself.
    max_lag: blocks that a node may be behind the best one.
    """
    heads: dict[str, NodeHead | Failure] = {}
    for url in urls:
        try:
            heads[url] = head(url)
        except Failure as e:
            heads[url] = e
    best = max((h.number for h in heads.values() if isinstance(h, NodeHead)), default=0)
    for url, seen in heads.items():
        where = f"{chain} node {place(url)}"
        if isinstance(seen, Failure):
            fix = "" if isinstance(seen, WrongChain) else " or start the node"
            yield fault(where, f"{seen}: fix MMBOT_{chain.upper()}_RPC_URLS{fix}")
            continue
        age, lag = clock() - seen.at, best - seen.number
        text = f"chain {name}, block {seen.number}, {format_duration(age)} old"
        if lag > max_lag:
            yield fault(where, f"{text}: {lag} blocks behind; take it out until it is up")
        elif age > _OLD_BLOCK:
            yield note(where, f"{text}: does the chain still make blocks?")
        else:
            yield ok(where, text)


def agreement(rpc: Rpc) -> Iterator[CheckResult]:
    """Check that as many nodes agree as MMBOT_RPC_QUORUM asks for, where it asks for several."""
    if rpc.quorum == 1:
        return
    where = f"{rpc.chain} quorum"
    try:
        block = newest(rpc)
    except Failure as e:
        yield fault(where, f"{e}: fix the nodes, or lower MMBOT_RPC_QUORUM")
        return
    yield ok(where, f"{rpc.quorum} nodes have the same block {block.number}")


def single(chain: str, chain_id: int, url: str) -> Rpc:
    """Return a client of one node, which no other stands in for."""
    return Rpc([url], chain=chain, chain_id=chain_id, read_seconds=_READ_SECONDS)


def _head(rpc: Rpc) -> NodeHead:
    block = decoding.fields(query(rpc, "eth_getBlockByNumber", "latest", False))
    return NodeHead(
        decoding.quantity(block.get("number")), decoding.quantity(block.get("timestamp"))
    )
