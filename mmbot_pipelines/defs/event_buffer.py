"""Events of the runs that a worker executes, written several at a time. Writes Dagster's storage.

Of some twenty events a run few change what others do: its start, its end, a step that failed. They
and what came before them are written at once; the others within half a second.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import dagster as dg
from sqlalchemy.exc import OperationalError

from mmbot_pipelines.defs.shared.dagster_internals import is_of_an_asset

_MAX_SECONDS = 0.5  # that an event waits
_MAX_EVENTS = 200  # that wait

_log = logging.getLogger(__name__)


class EventBuffer:
    """Events that are not written yet. Threads may share it."""

    def __init__(
        self,
        write: Callable[[Sequence[dg.EventLogEntry]], None],
        write_of_asset: Callable[[dg.EventLogEntry], None],
    ) -> None:
        """Take what writes events in one statement, and what writes an asset's event."""
        self._write = write
        self._write_of_asset = write_of_asset
        self._waiting: list[dg.EventLogEntry] = []
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def store(self, event: dg.EventLogEntry) -> None:
        """Write an event now or soon.

        Raises:
            Exception: the storage did not take it, where it is written now.
        """
        with self._lock:
            if is_of_an_asset(event):
                self.flush()
                self._write_of_asset(event)
                return
            self._waiting.append(event)
            if _is_awaited(event) or len(self._waiting) >= _MAX_EVENTS:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(_MAX_SECONDS, self.flush_if_possible)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what waits; as without a buffer, what the storage does not take is lost.

        Raises:
            Exception: the storage did not take the last event.
        """
        with self._lock:
            events, self._waiting = self._waiting, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not events:
                return
            try:
                self._write(events)
            except OperationalError:  # the database is away, for each of them
                raise
            except Exception:
                for event in events[:-1]:
                    self._write_alone(event)
                self._write(events[-1:])

    def flush_if_possible(self) -> None:
        """Write what waits; a run that goes on meets the same failure with its next event."""
        with suppress(Exception):
            self.flush()

    def _write_alone(self, event: dg.EventLogEntry) -> None:
        try:
            self._write([event])
        except Exception as e:
            _log.warning("an event of run %s is lost: %s", event.run_id, type(e).__name__)


def _is_awaited(event: dg.EventLogEntry) -> bool:
    """Return whether others act on an event."""
    of_dagster = event.dagster_event
    return of_dagster is not None and (of_dagster.is_job_event or of_dagster.is_step_failure)
