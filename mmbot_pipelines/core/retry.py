"""When to try again: what failed, and what no node has. Pure but for what it remembers."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from mmbot_pipelines.core.money import TxHash

_MAX_LENGTH = 3600  # seconds: an operator who repairs something sees the effect within the hour


def backoff(failures: int, base: float, draw: float) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row.

    Doubles from `base` up to an hour; `draw` in [0, 1) spreads the wait over its upper
    half, so that what failed together is not tried again together.
    """
    return float(min(base * 2 ** min(failures - 1, 20), _MAX_LENGTH) * (0.5 + draw / 2))


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
