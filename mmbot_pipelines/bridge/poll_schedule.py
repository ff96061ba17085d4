"""How often an order on its way is asked for. Pure but for what it remembers.

What is young settles within minutes and is asked for at every look; what is old is asked
for rarely, so that a thousand claims that never arrive cost a node little.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.bridge.orders.order import Order

MAX_ORDERS = 100  # orders of one look
PAGE = 200  # orders that one look reads of the newest, and of all others by turns

# Age of the claim in seconds, and how many seconds pass between two questions after that.
_INTERVALS = ((3600, 300), (300, 60))
_MAX_LENGTH = timedelta(seconds=300)


class PollSchedule:
    """When each order was asked for last, by this process."""

    def __init__(self) -> None:
        self._polled_at: dict[str, datetime] = {}
        # time of change and number of the order up to which the older ones were read
        self.reached: tuple[datetime, int] | None = None

    def due(self, orders: Sequence[Order], at: datetime) -> list[Order]:
        """Return the orders to ask for at this time, and remember that they were.

        What was asked for so long ago that it is due by now is forgotten.
        """
        self._polled_at = {
            key: polled for key, polled in self._polled_at.items() if at - polled < _MAX_LENGTH
        }
        due = [order for order in orders if self._is_due(order, at)]
        # The longest not asked for first, so that everybody's turn comes.
        never = datetime.min.replace(tzinfo=UTC)
        due.sort(key=lambda order: self._polled_at.get(order.key, never))
        self._polled_at |= {order.key: at for order in due[:MAX_ORDERS]}
        return due[:MAX_ORDERS]

    def _is_due(self, order: Order, at: datetime) -> bool:
        polled, age = self._polled_at.get(order.key), (at - order.changed_at).total_seconds()
        wait = next((wait for min_age, wait in _INTERVALS if age >= min_age), 0)
        return polled is None or polled < order.changed_at or at - polled >= timedelta(seconds=wait)
