"""Sensors that wait in their tick for work, so that they find it without a delay.

A tick that has found something ends, and the next of its sensor begins only when Dagster has
created the runs. Meanwhile a second sensor of the same body looks: they take turns.

A tick that waits holds a thread of the code server and one of the daemon, and the daemon stops
only when its last tick has ended. So a tick ends when the daemon stops, and takes nothing for a
daemon that was killed; where that cannot be known, ticks are short. Each tick costs the daemon and
Postgres as much as a hundred looks of an idle sensor.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.notifications import Notifications
from mmbot_pipelines.defs.shared.dagster_internals import is_followed, is_tick_wanted

T = TypeVar("T")

TURN_SECONDS = 10.0  # of a sensor that takes turns with another
TICK_SECONDS = 2 * TURN_SECONDS  # of a tick: it waits for its turn, and has it
_PATIENCE_SECONDS = 1.5 * TURN_SECONDS  # for a turn, which begins and ends with a look
_SHORT_SECONDS = 2.0  # of a turn or tick that cannot know whether it is wanted

_POLL_SECONDS = 0.2  # between two looks at least, and at most where nothing is announced
# What a node announces, others may have a little later: so it is looked for again, each time
# when twice as long has passed.
_AGAIN_SECONDS = 0.5
_AGAIN_FOR_SECONDS = 3.0
_DATABASE_SECONDS = 1.0  # between two looks while nothing is announced, and after a failure
_WANTED_SECONDS = 1.0  # between two questions whether the daemon still waits for the tick
# Between two looks at the chain in any case, for a node may withhold something; of an L2 each
# costs 5 calls, and all of them shall stay under 60 a minute.
_CHAIN_SECONDS = 15.0


class Watcher:
    """What the sensors of one body share in a process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._count = -1  # of the notifications, before the last look
        self._read_at = float("-inf")  # when a look at the chain succeeded last

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Wait for the other sensor to end; yield whether it did."""
        end, mine = time.monotonic() + _PATIENCE_SECONDS, False
        while not mine and time.monotonic() < end and is_tick_wanted():
            mine = self._turn.acquire(timeout=min(_WANTED_SECONDS, _PATIENCE_SECONDS))
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()

    def watch(
        self, notifications: Notifications, look: Callable[[bool], T], *, seconds: float
    ) -> T | None:
        """Look for so long, or until something is found; return it, or None.

        look: takes whether the chain may show something new; if not, it reads the database alone.

        Raises:
            Failure: of the last look; an earlier one is repeated.
        """
        end = time.monotonic() + (seconds if is_followed() else min(seconds, _SHORT_SECONDS))
        while is_tick_wanted():
            begun, count = time.monotonic(), notifications.count
            may_be_new = self._may_be_new(notifications)
            failure: Failure | None = None
            self._count = count
            try:
                if found := look(may_be_new):
                    return found
                if may_be_new:
                    self._read_at = begun
            except Failure as e:
                failure, self._read_at = e, float("-inf")
            earliest = begun + (_POLL_SECONDS if failure is None else _DATABASE_SECONDS)
            if earliest < end:
                time.sleep(max(0.0, earliest - time.monotonic()))
                due = min(begun + _pause(notifications), end)
                notifications.wait(count, due - time.monotonic())
            if earliest >= end or time.monotonic() >= end:
                if failure is not None:
                    raise failure
                return None
        return None

    def _may_be_new(self, notifications: Notifications) -> bool:
        return (
            notifications.count != self._count
            or _is_fresh(notifications)
            or time.monotonic() - self._read_at >= _CHAIN_SECONDS
        )


def _pause(notifications: Notifications) -> float:
    """Return after how many seconds the next look is due, whatever is announced."""
    if not notifications.is_live:
        return _POLL_SECONDS
    if not _is_fresh(notifications):
        return _DATABASE_SECONDS
    return max(_AGAIN_SECONDS, time.monotonic() - notifications.announced_at)


def _is_fresh(notifications: Notifications) -> bool:
    """Return whether the chain may show something that a look just now did not."""
    age = time.monotonic() - notifications.announced_at
    return not notifications.is_live or age < _AGAIN_FOR_SECONDS
