"""What `mmbot doctor` finds: one line per check."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mmbot_pipelines.core.errors import Failure, InvalidSettings


class CheckStatus(StrEnum):
    OK = "ok"
    NOTE = "note"  # worth a look, but the bot can work
    FAULT = "fault"
    NOT_CHECKED = "not checked"  # what it depends on is at fault


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's outcome; the text of a fault ends with its fix."""

    mark: CheckStatus
    subject: str
    text: str


def ok(subject: str, text: str) -> CheckResult:
    """Return a result for what is as it should be."""
    return CheckResult(CheckStatus.OK, subject, text)


def note(subject: str, text: str) -> CheckResult:
    """Return a result for what is unusual but does not stop the bot."""
    return CheckResult(CheckStatus.NOTE, subject, text)


def fault(subject: str, text: str) -> CheckResult:
    """Return a result for what stops the bot, with its fix."""
    return CheckResult(CheckStatus.FAULT, subject, text)


def not_checked(subject: str, because: str) -> CheckResult:
    """Return a result for what cannot be known because of another fault."""
    return CheckResult(CheckStatus.NOT_CHECKED, subject, because)


def passed(results: Iterable[CheckResult]) -> Generator[CheckResult, None, bool]:
    """Pass results on; return whether any was no fault."""
    well = False
    for result in results:
        well |= result.mark is not CheckStatus.FAULT
        yield result
    return well


def run_check(subject: str, check: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
    """Run one check; an error in it is a fault, and the other checks still run."""
    try:
        yield from check()
    except (InvalidSettings, Failure) as e:
        for line in str(e).splitlines():
            yield fault(subject, line)
