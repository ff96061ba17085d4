"""What `mmbot doctor` asks each RPC node by itself."""

import time
from collections.abc import Callable, Iterator, Sequence

from mmbot_pipelines.adapters.evm.quorum import newest
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.adapters.rpc.subscription import Subscription
from mmbot_pipelines.cli.doctor.findings import CheckResult, fault, note, ok
from mmbot_pipelines.cli.screen import format_duration
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.settings import place

_MAX_LAG = 5  # blocks behind the best node of the chain
_OLD_BLOCK = 300  # seconds
_AHEAD = 60  # seconds; nodes refuse a block that is further ahead of their own clock
_READ_SECONDS = 5.0


def nodes(
    chain: str,
    chain_id: int,
    urls: Sequence[str],
    clock: Callable[[], float] = time.time,
) -> Iterator[CheckResult]:
    """Check that each node answers, serves the right chain, and is not behind the others."""
    return compared(
        str(chain_id),
        urls,
        lambda url: single(chain, chain_id, url),
        max_lag=_MAX_LAG,
        clock=clock,
    )


def compared(
    name: str,
    urls: Sequence[str],
    pool: Callable[[str], Nodes],
    *,
    max_lag: int,
    clock: Callable[[], float],
) -> Iterator[CheckResult]:
    """Check the nodes of any kind of chain by their records.

    name: what the chain calls itself.
    pool: of one URL alone.
    max_lag: blocks that a node may be behind the best one.
    """
    pools = {url: pool(url) for url in urls}
    for one in pools.values():
        one.poll_health(include_open=True)
    records = {url: one.health()[0] for url, one in pools.items()}
    best = max((seen.head.height for seen in records.values() if seen.head), default=0)
    for url, seen in records.items():
        where = f"{seen.chain} node {place(url)}"
        if seen.head is None:
            setting = f"MMBOT_{seen.chain.upper()}_RPC_URLS"
            is_other = seen.fault_kind is NodeFaultKind.WRONG_CHAIN
            fix = f"fix {setting} or {'the chain id' if is_other else 'start the node'}"
            yield fault(where, f"{seen.host} {seen.fault}: {fix}")
            continue
        lag = best - seen.head.height
        text = f"chain {name}, block {seen.head.height}"
        age = None if seen.head.made_at is None else clock() - seen.head.made_at
        text += ", of no possible time" if age is None else f", {format_duration(age)} old"
        if lag > max_lag:
            yield fault(where, f"{text}: {lag} blocks behind; take it out until it is up")
        elif age is not None and age < -_AHEAD:
            ahead = format_duration(-age)
            yield fault(
                where,
                f"{text}: its time is {ahead} ahead of this machine's clock: set the clock by NTP "
                "(timedatectl set-ntp true), or take the node out",
            )
        elif age is None or age > _OLD_BLOCK:
            yield note(where, f"{text}: does the chain still make blocks, and is the clock right?")
        else:
            yield ok(where, text)


def announced(subscription: Subscription, chain: str, url: str) -> CheckResult:
    """Check that a node announces over a WebSocket what is new; without it the bot polls."""
    where, end = f"{chain} node {place(url)}", time.monotonic() + _READ_SECONDS
    while not subscription.is_live and (left := end - time.monotonic()) > 0:
        subscription.wait(subscription.count, left)
    if subscription.is_live:
        return ok(where, "announces what is new")
    setting = f"MMBOT_{chain.upper()}_WS_URLS"
    return note(where, f"announces nothing, so the nodes are polled: fix {setting} or empty it")


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
