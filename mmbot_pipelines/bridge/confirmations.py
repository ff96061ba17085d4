"""An order is paid only when enough blocks of its L2 stand on top of its own, or L1 has it."""

import itertools
from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.policy import ConfirmationTier, blocks_on_top
from mmbot_pipelines.bridge.ports.orders import ConfirmedRange, Cursor
from mmbot_pipelines.core.money import Wei


def confirmed_ranges(bridge: Bridge, origin: str) -> list[ConfirmedRange] | None:
    """Return which orders of an origin have enough blocks on top now; None: all of them."""
    tiers = bridge.rules.confirmations
    if not tiers:
        return None
    l2 = bridge.origins[origin]
    head = l2.head(Cursor.LATEST).number
    steps = [ConfirmationTier(Wei(0), 0), *tiers]

    def newest(wanted: int | None) -> int | None:
        if wanted is None:
            return l2.final().number
        return head - wanted if wanted else None

    sizes = [
        ConfirmedRange(
            min_amount=tier.amount,
            below_amount=above.amount if above else None,
            max_block=newest(tier.blocks),
        )
        for tier, above in itertools.zip_longest(steps, tiers)
    ]
    # A young chain has fewer blocks than a size needs: no order of it is ready yet.
    return [size for size in sizes if size.max_block is None or size.max_block >= 0]


def split_confirmed(work: Work, origin: str, orders: Sequence[Order]) -> list[Order]:
    """Return the orders with enough blocks on top; the others wait, healthy."""
    tiers = work.bridge.rules.confirmations
    if not tiers or not orders:
        return list(orders)
    l2 = work.bridge.origins[origin]
    head = l2.head(Cursor.LATEST).number
    wants = [(order, blocks_on_top(tiers, order.amount)) for order in orders]
    final = l2.final().number if any(wanted is None for _, wanted in wants) else 0
    confirmed = []
    for order, wanted in wants:
        number, there = order.block.number, head - order.block.number
        if wanted == 0 or (number <= final if wanted is None else there >= wanted):
            confirmed.append(order)
        elif wanted is None:
            work.run.log(f"{order.key}: waits, L1 has accepted {final}, not yet its block {number}")
            work.wait(order, "waiting: L1 must accept its block")
        else:
            work.run.log(
                f"{order.key}: waits, {max(there, 0)} of {wanted} blocks are on top of its own"
            )
            work.wait(order, f"waiting: {wanted} blocks must stand on top of its own")
    return confirmed
