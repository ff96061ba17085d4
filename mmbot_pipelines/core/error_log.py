"""Errors that are kept for the operator, whatever they are about. Pure, with its port."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that could not be understood or done, kept for the operator."""

    subject: str  # an order's key, or where the event stood
    step: str
    kind: str  # the error's class
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEntry:
    """One error, kept for ever."""

    fault: Fault
    at: datetime
    run_id: str


class ErrorReads(Protocol):
    """The stored errors."""

    def of(self, subject: str) -> list[ErrorEntry]:
        """Return all errors of a subject, oldest first."""

    def of_run(self, run_id: str) -> list[ErrorEntry]:
        """Return all errors that a run stored, oldest first."""


class ErrorLog(ErrorReads, Protocol):
    """The stored errors within one transaction."""

    def add(
        self, faults: Sequence[Fault], *, at: datetime, run_id: str, scanned: bool = False
    ) -> None:
        """Append errors; those of a scan only where no scan has stored them before."""
