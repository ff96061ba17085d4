"""Who makes everything move: one daemon. Two at once on one database are a mistake.

Each gives signs of life. One that was stopped or has died falls silent before the next one
begins, be it a restart or a standby; where one is still heard after another has begun, both
live. No harm comes of it, for the database lets each step happen once, but whoever started
the second one should know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

# A daemon gives a sign every 30 seconds; one that misses two in a row is gone.
HEARTBEAT_TIMEOUT = timedelta(seconds=75)

_CLOCKS = timedelta(seconds=5)  # that two machines' clocks may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One daemon, from its first sign of life to its last."""

    name: str  # its own, new at every start
    first_at: datetime  # UTC
    last_at: datetime  # UTC


class Daemons(Protocol):
    """Who was heard."""

    def record_heartbeat(self, name: str, *, at: datetime) -> None:
        """Keep a sign of life; an older one than is known changes nothing."""

    def alive_since(self, at: datetime) -> list[Daemon]:
        """Return all that were heard since then, the first one first."""


def concurrent_daemons(daemons: Sequence[Daemon]) -> list[Daemon]:
    """Return those that live beside another one; none where one followed the other."""
    return [
        one
        for one in daemons
        if any(
            one is not other
            and one.last_at - other.first_at > _CLOCKS
            and other.last_at - one.first_at > _CLOCKS
            for other in daemons
        )
    ]
