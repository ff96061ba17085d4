"""What `mmbot doctor` asks each RPC node by itself."""

import time
from collections.abc import Callable, Iterator, Sequence

from mmbot_pipelines.adapters.ethereum import wire
from mmbot_pipelines.adapters.ethereum.quorum import newest
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.cli.findings import Finding, fault, note, ok
from mmbot_pipelines.cli.questions import asked
from mmbot_pipelines.cli.words import span
from mmbot_pipelines.core.errors import Failure, WrongChain
from mmbot_pipelines.settings import place

_MOST_LAG = 5  # blocks behind the best node of the chain
_OLD_BLOCK = 300  # seconds
_READ_SECONDS = 5.0


def nodes(
    chain: str,
    chain_id: int,
    urls: Sequence[str],
    clock: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Check that each node answers, serves the right chain, and is not behind the others."""
    heads: dict[str, tuple[int, int] | Failure] = {}
    for url in urls:
        try:
            heads[url] = _head(single(chain, chain_id, url))
        except Failure as e:
            heads[url] = e
    best = max((head[0] for head in heads.values() if not isinstance(head, Failure)), default=0)
    for url, head in heads.items():
        where = f"{chain} node {place(url)}"
        if isinstance(head, Failure):
            remedy = "" if isinstance(head, WrongChain) else " or start the node"
            yield fault(where, f"{head}: mend MMBOT_{chain.upper()}_RPC_URLS{remedy}")
            continue
        number, at = head
        age = clock() - at
        says = f"chain {chain_id}, block {number}, {span(age)} old"
        if best - number > _MOST_LAG:
            yield fault(where, f"{says}: {best - number} blocks behind; take it out until it is up")
        elif age > _OLD_BLOCK:
            yield note(where, f"{says}: does the chain still make blocks?")
        else:
            yield ok(where, says)


def agreement(rpc: Rpc) -> Iterator[Finding]:
    """Check that as many nodes agree as MMBOT_RPC_QUORUM asks for, where it asks for several."""
    if rpc.quorum == 1:
        return
    where = f"{rpc.chain} quorum"
    try:
        block = newest(rpc)
    except Failure as e:
        yield fault(where, f"{e}: mend the nodes, or lower MMBOT_RPC_QUORUM")
        return
    yield ok(where, f"{rpc.quorum} nodes have the same block {block.number}")


def single(chain: str, chain_id: int, url: str) -> Rpc:
    """Return a client of one node, which no other stands in for."""
    return Rpc([url], chain=chain, chain_id=chain_id, read_seconds=_READ_SECONDS)


def _head(rpc: Rpc) -> tuple[int, int]:
    """Return the newest block's number and its time in seconds of the epoch."""
    block = wire.fields(asked(rpc, "eth_getBlockByNumber", "latest", False))
    return wire.quantity(block.get("number")), wire.quantity(block.get("timestamp"))
