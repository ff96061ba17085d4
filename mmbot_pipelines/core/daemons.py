"""Daemon heartbeats: detect two daemons on one database, which is a mistake of operation.

A daemon that was stopped or has died sends no heartbeat after the next one (a restart or a
standby) has begun; if it does, both are alive. No step is done twice, because each is
compare-and-set in the database, but the operator should stop one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

# A daemon sends a heartbeat every 30 seconds; one that misses two in a row is dead.
HEARTBEAT_TIMEOUT = timedelta(seconds=75)

_CLOCKS = timedelta(seconds=5)  # that two machines' clocks may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One daemon, from its first heartbeat to its last."""

    name: str  # its own, new at every start
    first_at: datetime  # UTC
    last_at: datetime  # UTC


class Daemons(Protocol):
    """The store of heartbeats."""

    def record_heartbeat(self, name: str, *, at: datetime) -> None:
        """Store a heartbeat; one older than the newest stored changes nothing."""

    def alive_since(self, at: datetime) -> list[Daemon]:
        """Return the daemons with a heartbeat since `at`, in order of their first one."""


def concurrent_daemons(daemons: Sequence[Daemon]) -> list[Daemon]:
    """Return the daemons that overlap with another; none where one followed the other."""
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
