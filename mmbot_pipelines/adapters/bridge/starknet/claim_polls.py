"""When each claim under way is polled again. Pure: kept in memory only."""

import time
from collections.abc import Callable, Sequence

from mmbot_pipelines.bridge.orders.order import Order


class ClaimPolls:
    """Limits how often each claim is polled. A restart forgets it: claims are polled earlier."""

    def __init__(
        self, kind: str, *, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with no claim polled.

        kind: what the names of these claims begin with, e.g. "message ".
        seconds: between two polls of one claim.
        """
        self._kind = kind
        self._seconds = seconds
        self._clock = clock
        self._looked: dict[str, float] = {}

    def due(self, orders: Sequence[Order]) -> list[Order]:
        """Return the orders whose claims are due to be polled, and record that they are polled."""
        now = self._clock()
        ours: dict[str, list[Order]] = {}  # a batch's orders go by one name
        for order in orders:
            if order.claim_ref and order.claim_ref.startswith(self._kind):
                ours.setdefault(order.claim_ref, []).append(order)
        polled = {ref: at for ref, at in self._looked.items() if ref in ours}
        due = [ref for ref in ours if ref not in polled or now - polled[ref] >= self._seconds]
        self._looked = polled | dict.fromkeys(due, now)
        return [order for ref in due for order in ours[ref]]
