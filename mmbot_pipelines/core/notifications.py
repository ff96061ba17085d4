"""The port `Notifications`: what a chain's node announces, so that nobody has to poll for it."""

import time
from typing import Protocol


class Notifications(Protocol):
    """Reasons to look at a chain. None of them is believed: what counts is read afterwards."""

    @property
    def is_live(self) -> bool:
        """Return whether a node announces what is new; else one has to poll."""

    @property
    def count(self) -> int:
        """Return how many reasons to look there have been."""

    @property
    def announced_at(self) -> float:
        """Return when the node announced something last, on the monotonic clock, in seconds."""

    def wait(self, count: int, seconds: float) -> None:
        """Return when there have been other than `count` reasons, or after some seconds."""


class NoNotifications:
    """A chain of which nothing is announced."""

    is_live = False
    count = 0
    announced_at = 0.0

    def wait(self, count: int, seconds: float) -> None:
        """Return after some seconds."""
        del count
        time.sleep(max(0.0, seconds))
