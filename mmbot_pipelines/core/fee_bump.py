"""Which transactions block the lane, and the fees that take their nonce for another one.

Pure, in integer wei. A pool lets a transaction take another one's nonce only for a tenth
more (geth, `--txpool.pricebump`), in both fees: an eighth more satisfies every client.
"""

from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime

from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Fees, Transaction, by_nonce

# Where this many times the market's price did not help, money is not what is missing.
_MAX_MARKET_MULTIPLE = 10

# From this many transactions at one nonce on, each further one waits longer than the one before.
_SLOWER_FROM = 20


def blocking(
    waiting: Sequence[Transaction], market: Fees, *, at: datetime, after_seconds: float
) -> list[list[Transaction]]:
    """Return the nonces that have to be replaced for the wallet to go on, lowest first.

    waiting: undecided rows of one wallet. The lowest nonce is stuck when its newest row is
    older than `after_seconds`, or cannot be mined at the base fee of now. Those right above it
    are returned with it while they cannot be mined at that base fee either: nothing else holds
    them. Whatever only waits for a lower nonce is left alone, however old it is.
    """
    stuck: list[list[Transaction]] = []
    for rows in by_nonce(waiting):
        first = not stuck and is_old(rows, at=at, after_seconds=after_seconds)
        if not (first or is_priced_out(rows[-1].fees, market)):
            break
        stuck.append(rows)
    return stuck


def is_old(rows: Sequence[Transaction], *, at: datetime, after_seconds: float) -> bool:
    """Return whether the newest row of a nonce waits for longer than is good."""
    timeout = after_seconds * max(1, len(rows) - _SLOWER_FROM)
    return (at - rows[-1].stored_at).total_seconds() > timeout


def is_priced_out(signed: Fees, market: Fees) -> bool:
    """Return whether the next block can ask for more than was signed.

    `market.base` is what the next block can ask, an eighth above the newest (EIP-1559).
    """
    return signed.ceiling * 9 < market.base * 8


def replacement_fees(
    rows: Sequence[Transaction], in_a_pool: Container[TxHash], market: Fees, max_fee_per_gas: int
) -> Fees | None:
    """Return the fees of one more transaction for the nonce of these rows, None where none helps.

    in_a_pool: hashes that some node has: only these are in a pool, and have to be outbid. What no
        node ever took, because of absurd fees or gas, binds nobody: the market's price counts,
        and an eighth more only for what was signed at that price before.
    max_fee_per_gas: wei per gas that may be paid.
    """
    in_pools = [row.fees for row in rows if row.hash in in_a_pool]
    if in_pools:
        priority = max(fees.priority for fees in in_pools)
        ceiling = max(fees.ceiling for fees in in_pools)
        return bump_fees(
            replace(market, priority=priority, ceiling=ceiling), market, max_fee_per_gas
        )
    tried = {(row.fees.priority, row.fees.ceiling) for row in rows}
    bid = bump_fees(replace(market, priority=Wei(0), ceiling=Wei(0)), market, max_fee_per_gas)
    while bid is not None and (bid.priority, bid.ceiling) in tried:
        bid = bump_fees(bid, market, max_fee_per_gas)
    return bid


def bump_fees(signed: Fees, market: Fees, max_fee_per_gas: int) -> Fees | None:
    """Return the fees of a replacement, or None where none helps within `max_fee_per_gas`.

    Both fees rise by an eighth or more, and at minimum to the market's. The ceiling stays
    below `max_fee_per_gas`, in wei per gas, and below ten times the market's.
    """
    priority = max(_bumped(signed.priority), market.priority)
    min_ceiling = _bumped(signed.ceiling)
    max_fee_per_gas = min(max_fee_per_gas, _MAX_MARKET_MULTIPLE * market.ceiling)
    ceiling = max(min_ceiling, min(market.ceiling, max_fee_per_gas))
    if ceiling > max_fee_per_gas or ceiling < max(priority, market.base):
        return None
    return replace(market, priority=Wei(priority), ceiling=Wei(ceiling))


def _bumped(price: Wei) -> int:
    return max(-(-price * 9 // 8), price + 1)
