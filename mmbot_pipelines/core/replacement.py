"""Which transactions block the lane, and the fees that take their nonce for another one.

Pure, in integer wei. A pool lets a transaction take another one's nonce only for a tenth
more (geth, `--txpool.pricebump`), in both fees: an eighth more satisfies every client.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Fees, Transaction, by_nonce

# Where this many times the market's price did not help, money is not what is missing.
_MOST_TIMES = 10


def blocking(
    waiting: Sequence[Transaction], market: Fees, *, at: datetime, after_seconds: float
) -> list[list[Transaction]]:
    """Return the lowest nonces that do not get on by themselves, each with all of its rows.

    waiting: undecided rows of one wallet. A nonce is stuck when its newest row is older than
    `after_seconds`, or cannot be mined at the base fee of now. What comes above a nonce that
    is not stuck only waits for it.
    """
    stuck = []
    for rows in by_nonce(waiting):
        newest = rows[-1]
        old = (at - newest.stored_at).total_seconds() > after_seconds
        if not (old or is_priced_out(newest.fees, market)):
            break
        stuck.append(rows)
    return stuck


def is_priced_out(signed: Fees, market: Fees) -> bool:
    """Tell whether blocks of now ask for more than was signed.

    `market.base` is what the next block can ask, an eighth above the newest (EIP-1559).
    """
    return signed.ceiling * 9 < market.base * 8


def raised(signed: Fees, market: Fees, most: int) -> Fees | None:
    """Return the fees of a replacement, or None where none would help for at most `most`.

    Both fees rise by an eighth at least, and to the market's. The ceiling stays below
    `most`, in wei per gas, and below ten times the market's.
    """
    priority = max(_an_eighth_more(signed.priority), market.priority)
    least = _an_eighth_more(signed.ceiling)
    most = min(most, _MOST_TIMES * market.ceiling)
    ceiling = max(least, min(market.ceiling, most))
    if ceiling > most or ceiling < max(priority, market.base):
        return None
    return replace(market, priority=Wei(priority), ceiling=Wei(ceiling))


def _an_eighth_more(price: Wei) -> int:
    return max(-(-price * 9 // 8), price + 1)
