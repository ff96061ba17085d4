"""What is measured for safety, and when it is too much. Pure, in integer wei."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot_pipelines.core.money import Wei, in_words
from mmbot_pipelines.core.safety import UNREACHABLE, State, Trip

# A chain that stands this many times longer than its limit may come back as another one.
_HALT_LAG = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How the newest work ended."""

    scope: str
    in_a_row: int  # up to now, without a success
    failed: int  # within the window
    finished: int  # within the window, failed or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlay:
    """Money that is paid out and not yet back."""

    scope: str
    out: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class GasLost:
    """What transfers that reverted have cost within an hour."""

    scope: str
    lost: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """What a wallet has."""

    scope: str
    balance: Wei
    missing: Wei | None = None  # what no transaction of ours took


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How fresh our view of a chain is."""

    scope: str
    lag: float | None  # seconds, age of its newest block; None: nobody answers
    trouble: str = ""  # why nobody does


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """How the database answers."""

    scope: str
    seconds: float  # that one short read took


Reading = Failures | Outlay | GasLost | Funds | Reach | Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where a reading is too much; None: never."""

    halt_after_failures: int = 10
    failure_percent: int = 50
    least_finished: int = 10  # below it a rate says nothing
    max_outlay: Wei | None = None
    max_gas_lost: Wei | None = None  # per hour
    min_balance: Wei | None = None
    max_lag: float | None = None  # seconds
    slow_store: float = 2.0  # seconds

    def eased(self) -> "Thresholds":
        """Return where a reading must be again for THROTTLED to end, clear of where it began."""
        return replace(
            self,
            failure_percent=-(-self.failure_percent // 2),
            max_outlay=None if self.max_outlay is None else Wei(self.max_outlay * 9 // 10),
            max_gas_lost=None if self.max_gas_lost is None else Wei(self.max_gas_lost * 9 // 10),
            max_lag=None if self.max_lag is None else self.max_lag / 2,
            slow_store=self.slow_store / 2,
        )


def judge(
    readings: Sequence[Reading], thresholds: Thresholds, throttled: frozenset[str] = frozenset()
) -> list[Trip]:
    """Return the readings that are too much, with what they ask for.

    throttled: scopes that are THROTTLED now. To end it, a reading must come down further
    than it had to rise; what halts is the same for all.
    """
    eased = thresholds.eased()
    trips: list[Trip] = []
    for reading in readings:
        limits = eased if reading.scope in throttled else thresholds
        trips += filter(
            None,
            (
                _of_failures(reading, limits),
                _of_money(reading, limits),
                _of_outside(reading, limits, thresholds),
            ),
        )
    return trips


def _trip(reading: Reading, state: State, cause: str, why: str) -> Trip:
    return Trip(scope=reading.scope, state=state, cause=cause, why=why)


def _of_failures(reading: Reading, at: Thresholds) -> Trip | None:
    if not isinstance(reading, Failures):
        return None
    if reading.in_a_row >= at.halt_after_failures:
        why = f"{reading.in_a_row} steps failed in a row"
        return _trip(reading, State.HALTED, "failures", why)
    many = reading.failed * 100 >= at.failure_percent * reading.finished
    if reading.finished >= at.least_finished and many:
        why = f"{reading.failed} of the newest {reading.finished} steps failed"
        return _trip(reading, State.THROTTLED, "failure rate", why)
    return None


def _of_money(reading: Reading, at: Thresholds) -> Trip | None:
    match reading:
        case Funds(balance=has, missing=missing) if missing and has < (at.min_balance or 0):
            why = (
                f"{in_words(missing)} left the wallet by no transaction of ours: it has "
                f"{in_words(has)}, under MMBOT_MIN_BALANCE_WEI"
            )
            return _trip(reading, State.HALTED, "balance", why)
        case Outlay(out=out) if at.max_outlay is not None and out >= at.max_outlay:
            why = f"{in_words(out)} is paid out and not yet repaid"
            return _trip(reading, State.THROTTLED, "exposure", why)
        case GasLost(lost=lost) if at.max_gas_lost is not None and lost > at.max_gas_lost:
            why = f"transfers that reverted cost {in_words(lost)} of gas within an hour"
            return _trip(reading, State.THROTTLED, "gas lost", why)
    return None


def _of_outside(reading: Reading, at: Thresholds, full: Thresholds) -> Trip | None:
    match reading:
        case Reach(lag=None, trouble=trouble):
            return _trip(reading, State.THROTTLED, UNREACHABLE, trouble)
        case Reach(lag=lag) if lag and at.max_lag and full.max_lag and lag > at.max_lag:
            far = lag > full.max_lag * _HALT_LAG
            why = f"the newest block is {lag:.0f} s old, the limit is {full.max_lag:g} s"
            return _trip(reading, State.HALTED if far else State.THROTTLED, "lag", why)
        case Store(seconds=seconds) if seconds > at.slow_store:
            why = f"the database took {seconds:.1f} s to answer"
            return _trip(reading, State.THROTTLED, "database", why)
    return None
