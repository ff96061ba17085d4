"""An order is paid only when enough blocks of its L2 stand on top of its own."""

import itertools
from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.policy import Tier, blocks_on_top
from mmbot_pipelines.bridge.ports import Cursor, Ripe
from mmbot_pipelines.core.money import Wei


def ripe_now(bridge: Bridge, origin: str) -> list[Ripe] | None:
    """Return which orders of an origin have enough blocks on top now; None: all of them."""
    tiers = bridge.rules.confirmations
    if not tiers:
        return None
    head = bridge.origins[origin].head(Cursor.LATEST).number
    steps = [Tier(Wei(0), 0), *tiers]
    return [
        Ripe(
            least=tier.amount,
            limit=above.amount if above else None,
            newest=head - tier.blocks if tier.blocks else None,
        )
        for tier, above in itertools.zip_longest(steps, tiers)
    ]


def keep_ripe(work: Work, origin: str, orders: Sequence[Order]) -> list[Order]:
    """Return the orders with enough blocks on top; the others wait, healthy."""
    tiers = work.bridge.rules.confirmations
    if not tiers or not orders:
        return list(orders)
    head = work.bridge.origins[origin].head(Cursor.LATEST).number
    ripe = []
    for order in orders:
        wanted, there = blocks_on_top(tiers, order.amount), head - order.block.number
        if wanted == 0 or there >= wanted:
            ripe.append(order)
            continue
        work.run.say(
            f"{order.key}: waits, {max(there, 0)} of {wanted} blocks are on top of its own"
        )
        work.wait(order, f"waits: {wanted} blocks must stand on top of its own")
    return ripe
