"""Warm workers: processes that execute runs, and stay."""

from typing import Protocol


class Workers(Protocol):
    """What is known of the workers; a run is handed to them by a broker."""

    def fault(self) -> str | None:
        """Return why no run can start at present, or None."""
