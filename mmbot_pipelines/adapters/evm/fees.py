"""What gas costs in the next blocks (EIP-1559), as the quorum shows it. Reads the chain."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from statistics import median_low

from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core import concurrency
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Block, Fees

_DEFAULT_PRIORITY = Wei(10**9)  # per gas, where the node has no opinion

# A wrong fee of a broken or lying node must neither drop orders as unprofitable nor be signed.
_MAX_BASE_FEE = Wei(10**15)  # per gas: a hundred times what mainnet has ever seen
_MAX_PRIORITY = Wei(2 * 10**10)  # per gas: a transaction that is outbid is replaced at higher fees


def market_fees(rpc: Rpc) -> Fees:
    """Price gas for the next blocks.

    A block raises the base fee by an eighth at most (EIP-1559). The ceiling stands
    five full blocks in a row.
    """
    base, tip = _prices(rpc)
    if base is None:
        raise RpcRefused(f"{rpc.chain} has no base fee: EIP-1559 is needed")
    # eth_maxPriorityFeePerGas is a habit, not a standard.
    priority = min(_DEFAULT_PRIORITY if tip is None else tip, _MAX_PRIORITY)
    if base > _MAX_BASE_FEE:
        raise decoding.InvalidResponse(f"a node of {rpc.chain} has an impossible base fee: {base}")
    return fees_of(base, priority)


def fees_of(base: Wei, priority: Wei) -> Fees:
    """Return the prices that are signed where the newest block has this base fee, per gas."""
    return Fees(base=Wei(-(-base * 9 // 8)), priority=priority, ceiling=Wei(2 * base + priority))


def _prices(rpc: Rpc) -> tuple[Wei | None, Wei | None]:
    """Return the newest base fee, and the median of what nodes would give the block's maker.

    Orders are dropped by the base fee, so it takes as many nodes as money does.
    """
    with concurrency.questions() as ask:
        tip, base = ask.submit(_tip, rpc), ask.submit(_newest_base_fee, rpc)
    return base.result(), tip.result()


def _newest_base_fee(rpc: Rpc) -> Wei | None:
    block = quorum.now(rpc)
    if isinstance(block, Block):
        return quorum.base_fee(rpc, block)
    return quorum.usable(rpc, [blocks.header_call(block)], partial(_base_fee, rpc))[0]


def _base_fee(rpc: Rpc, poll: Poll) -> Wei | None:
    base = blocks.parse_header(poll.answers[0], "latest", rpc.chain).base_fee
    if base is not None and base > _MAX_BASE_FEE:
        raise decoding.InvalidResponse(f"a node of {rpc.chain} has an impossible base fee: {base}")
    return base


def _tip(rpc: Rpc) -> Wei | None:
    """Return the median tip; None where no node returns one: the method is not in the standard.

    Where the first nodes' differ widely, the others are asked too.
    """

    def tips(polls: Sequence[Poll]) -> list[Wei]:
        found = []
        for answer in (poll.answers[0] for poll in polls):
            with suppress(decoding.InvalidResponse):
                found += [] if isinstance(answer, RpcError) else [Wei(decoding.quantity(answer))]
        return found

    def enough(polls: Sequence[Poll]) -> bool:
        found = tips(polls)
        return bool(found) and max(found) <= 2 * min(found)

    polls = rpc.poll([("eth_maxPriorityFeePerGas", ())], enough=enough)
    found = tips(polls)
    return median_low(found) if found else None
