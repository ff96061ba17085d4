"""How often an order on its way is asked for. Pure but for what it remembers.

What is young settles within minutes and is asked for at every look; what is old is asked
for rarely, so that a thousand claims that never arrive cost a node little.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.bridge.order import Order

MOST = 100  # orders of one look
PAGE = 200  # orders that one look reads of the newest, and of all others by turns

# Age of the claim in seconds, and how many seconds pass between two questions after that.
_PACES = ((3600, 300), (300, 60))
_LONGEST = timedelta(seconds=300)


class Pace:
    """When each order was asked for last, by this process."""

    def __init__(self) -> None:
        self._asked: dict[str, datetime] = {}
        # time of change and number of the order up to which the older ones were read
        self.reached: tuple[datetime, int] | None = None

    def due(self, orders: Sequence[Order], at: datetime) -> list[Order]:
        """Return the orders to ask for at this time, and remember that they were.

        What was asked for so long ago that it is due by now is forgotten.
        """
        self._asked = {key: asked for key, asked in self._asked.items() if at - asked < _LONGEST}
        due = [order for order in orders if self._is_due(order, at)]
        # The longest not asked for first, so that everybody's turn comes.
        never = datetime.min.replace(tzinfo=UTC)
        due.sort(key=lambda order: self._asked.get(order.key, never))
        self._asked |= {order.key: at for order in due[:MOST]}
        return due[:MOST]

    def _is_due(self, order: Order, at: datetime) -> bool:
        asked, age = self._asked.get(order.key), (at - order.changed_at).total_seconds()
        wait = next((wait for least, wait in _PACES if age >= least), 0)
        return asked is None or asked < order.changed_at or at - asked >= timedelta(seconds=wait)
