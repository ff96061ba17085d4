"""What `mmbot doctor` finds: one line per check."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mmbot_pipelines.core.errors import BadSettings, Failure


class Mark(StrEnum):
    OK = "ok"
    NOTE = "note"  # worth a look, but the bot can work
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; a fault says its remedy."""

    mark: Mark
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    """Report what is as it should be."""
    return Finding(Mark.OK, subject, text)


def note(subject: str, text: str) -> Finding:
    """Report what is odd, but not in the way."""
    return Finding(Mark.NOTE, subject, text)


def fault(subject: str, text: str) -> Finding:
    """Report what keeps the bot from working, and the remedy."""
    return Finding(Mark.FAULT, subject, text)


def look(subject: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Run one check; a failure to look is a fault, and the other checks go on."""
    try:
        yield from check()
    except (BadSettings, Failure) as e:
        for line in str(e).splitlines():
            yield fault(subject, line)
