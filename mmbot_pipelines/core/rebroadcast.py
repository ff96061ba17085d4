"""How often one stored transaction is handed to the network again. Pure; held in memory.

What one node does not show, another one has: to send it at every look would be a flood. A
restart forgets the times, which costs one more broadcast each.
"""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from mmbot_pipelines.core.money import TxHash

INTERVAL_SECONDS = 12.0  # one block of Ethereum


class Rebroadcasts:
    """When transactions were last sent again by this process. Threads may share it."""

    def __init__(self) -> None:
        self._sent_at: dict[TxHash, datetime] = {}
        self._lock = threading.Lock()

    def due(self, hashes: Iterable[TxHash], at: datetime) -> set[TxHash]:
        """Return those that were not sent within the interval."""
        since = at - timedelta(seconds=INTERVAL_SECONDS)
        with self._lock:
            self._sent_at = {tx: sent for tx, sent in self._sent_at.items() if sent > since}
            return {tx for tx in hashes if tx not in self._sent_at}

    def record(self, hashes: Iterable[TxHash], at: datetime) -> None:
        """Note that these were sent."""
        with self._lock:
            self._sent_at |= dict.fromkeys(hashes, at)
