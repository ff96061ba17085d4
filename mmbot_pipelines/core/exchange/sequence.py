"""Numbers that a venue takes once and in turn (nonces, sequences): counted here, asked after doubt.

Pure: the caller asks the venue and passes in the time. One wallet or API key has one counter.
"""

from dataclasses import dataclass


class NonceUnknown(Exception):
    """The venue has to be asked for the next number before anything is sent."""


@dataclass(slots=True, kw_only=True)
class NonceCounter:
    """The next number of one key, and whether it can be believed."""

    cooldown_seconds: float  # how long nothing is sent after the venue refused a number
    mismatches: int = 0  # in all, for people
    _next: int | None = None
    _floor: int = 0  # all below were handed out or counted by the venue: none is used twice
    _not_before: float = 0.0

    def take(self) -> int:
        """Return the next number; it is never handed out again, unless it is released.

        Raises: NonceUnknown at the start and after any doubt.
        """
        if self._next is None:
            raise NonceUnknown
        number = self._next
        self._next = self._floor = number + 1
        return number

    def release(self, number: int) -> None:
        """Take back a number that the venue provably did not consume.

        Only the last one can be used again: what was sent after it counts on its being taken.
        """
        if self._next == number + 1:
            self._next = self._floor = number
        else:
            self._next = None

    def doubt(self) -> None:
        """Stop counting: whether a number was consumed is not known."""
        self._next = None

    def mismatch(self, now: float) -> None:
        """Stop counting and cool down: the venue refused a number as the wrong one."""
        self.mismatches += 1
        self._next, self._not_before = None, now + self.cooldown_seconds

    def wait_seconds(self, now: float) -> float:
        """Return how long the venue is not asked yet."""
        return max(0.0, self._not_before - now)

    def resync(self, number: int, *, may_reuse: bool) -> None:
        """Go on from the venue's own next number.

        may_reuse: nothing that was sent can still arrive, so that numbers which the venue did not
            consume are free. Otherwise it goes on above all that was handed out.
        """
        self._next = self._floor = number if may_reuse else max(number, self._floor)
