"""How many blocks of its L2 must stand on top of an order's before it is paid. Pure."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmbot_pipelines.core.money import Wei


@dataclass(frozen=True, slots=True)
class ConfirmationTier:
    """How many L2 blocks must stand on top of an order's, from this amount on.

    None: L1 must have accepted its block, so that nothing takes it back any more.
    """

    amount: Wei
    blocks: int | None


def blocks_on_top(tiers: Sequence[ConfirmationTier], amount: Wei) -> int | None:
    """Return how many blocks an order of this amount waits for, None for L1; tiers rise."""
    return next((tier.blocks for tier in reversed(tiers) if tier.amount <= amount), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedRange:
    """Orders of a size, `least` to below `limit` in wei, that stand in block `newest` or before.

    None: any size from `least` on, any block.
    """

    min_amount: Wei
    below_amount: Wei | None
    max_block: int | None


def confirmed_ranges(
    tiers: Sequence[ConfirmationTier], head: int, final: Callable[[], int]
) -> list[ConfirmedRange]:
    """Return which orders have enough blocks on top now.

    head: number of the newest L2 block. final: of the newest that L1 has accepted; called only
        where a tier asks for it.
    """

    def newest(wanted: int | None) -> int | None:
        if wanted is None:
            return final()
        return head - wanted if wanted else None

    ranges = [
        ConfirmedRange(
            min_amount=tier.amount,
            below_amount=above.amount if above else None,
            max_block=newest(tier.blocks),
        )
        for tier, above in itertools.zip_longest([ConfirmationTier(Wei(0), 0), *tiers], tiers)
    ]
    # A young chain has fewer blocks than a tier needs: no order of it is ready yet.
    return [r for r in ranges if r.max_block is None or r.max_block >= 0]
