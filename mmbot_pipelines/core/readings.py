"""What is measured for safety, and when it is too much. Pure, in integer wei."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot_pipelines.core.money import Address, Wei, format_ether
from mmbot_pipelines.core.safety import UNREACHABLE, Breach, State

# A chain that stands this many times longer than its limit may come back as another one.
_HALT_LAG = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReading:
    """How the newest work ended."""

    scope: str
    in_a_row: int  # up to now, without a success
    failed: int  # within the window
    finished: int  # within the window, failed or not


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureReading:
    """Money that is paid out and not yet back."""

    scope: str
    out: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertedGas:
    """What transfers that reverted have cost within an hour."""

    scope: str
    lost: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletBalance:
    """What a wallet has."""

    scope: str
    wallet: Address
    balance: Wei
    missing: Wei | None = None  # what no transaction of ours took


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLag:
    """How fresh our view of a chain is."""

    scope: str
    lag: float | None  # seconds, age of its newest block; None: nobody answers
    trouble: str = ""  # why nobody does


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLatency:
    """How the database answers."""

    scope: str
    seconds: float  # that one short read took


SafetyReading = (
    FailureReading | ExposureReading | RevertedGas | WalletBalance | ChainLag | DatabaseLatency
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyThresholds:
    """Where a reading is too much; None: never."""

    halt_after_failures: int = 10
    failure_percent: int = 50
    min_finished: int = 10  # below it no failure rate is computed
    max_exposure: Wei | None = None
    max_gas_lost: Wei | None = None  # per hour
    min_balance: Wei | None = None
    max_lag: float | None = None  # seconds
    slow_store: float = 2.0  # seconds

    def recovery_thresholds(self) -> "SafetyThresholds":
        """Return where a reading must be again for THROTTLED to end, clear of where it began."""
        return replace(
            self,
            failure_percent=-(-self.failure_percent // 2),
            max_exposure=None if self.max_exposure is None else Wei(self.max_exposure * 9 // 10),
            max_gas_lost=None if self.max_gas_lost is None else Wei(self.max_gas_lost * 9 // 10),
            max_lag=None if self.max_lag is None else self.max_lag / 2,
            slow_store=self.slow_store / 2,
        )


def find_breaches(
    readings: Sequence[SafetyReading],
    thresholds: SafetyThresholds,
    throttled: frozenset[str] = frozenset(),
) -> list[Breach]:
    """Return the readings that are too much, with what they ask for.

    throttled: scopes that are THROTTLED now. To end it, a reading must come down further
    than it had to rise; what halts is the same for all.
    """
    recovery_thresholds = thresholds.recovery_thresholds()
    breaches: list[Breach] = []
    for reading in readings:
        limits = recovery_thresholds if reading.scope in throttled else thresholds
        breaches += filter(
            None,
            (
                _of_failures(reading, limits),
                _of_money(reading, limits),
                _of_outside(reading, limits, thresholds),
            ),
        )
    return breaches


def _breach(reading: SafetyReading, state: State, cause: str, why: str) -> Breach:
    return Breach(scope=reading.scope, state=state, cause=cause, why=why)


def _of_failures(reading: SafetyReading, at: SafetyThresholds) -> Breach | None:
    if not isinstance(reading, FailureReading):
        return None
    if reading.in_a_row >= at.halt_after_failures:
        why = f"{reading.in_a_row} steps failed in a row"
        return _breach(reading, State.HALTED, "failures", why)
    many = reading.failed * 100 >= at.failure_percent * reading.finished
    if reading.finished >= at.min_finished and many:
        why = f"{reading.failed} of the newest {reading.finished} steps failed"
        return _breach(reading, State.THROTTLED, "failure rate", why)
    return None


def _of_money(reading: SafetyReading, at: SafetyThresholds) -> Breach | None:
    match reading:
        case WalletBalance(wallet=wallet, balance=has, missing=missing) if missing and has < (
            at.min_balance or 0
        ):
            why = (
                f"{format_ether(missing)} left the wallet by no transaction of ours: {wallet} has "
                f"{format_ether(has)}, under MMBOT_MIN_BALANCE_WEI"
            )
            return _breach(reading, State.HALTED, "balance", why)
        case ExposureReading(out=out) if at.max_exposure is not None and out >= at.max_exposure:
            why = f"{format_ether(out)} is paid out and not yet repaid"
            return _breach(reading, State.THROTTLED, "exposure", why)
        case RevertedGas(lost=lost) if at.max_gas_lost is not None and lost > at.max_gas_lost:
            why = f"transfers that reverted cost {format_ether(lost)} of gas within an hour"
            return _breach(reading, State.THROTTLED, "gas lost", why)
    return None


def _of_outside(
    reading: SafetyReading, at: SafetyThresholds, full: SafetyThresholds
) -> Breach | None:
    match reading:
        case ChainLag(lag=None, trouble=trouble):
            return _breach(reading, State.THROTTLED, UNREACHABLE, trouble)
        case ChainLag(lag=lag) if lag and at.max_lag and full.max_lag and lag > at.max_lag:
            far = lag > full.max_lag * _HALT_LAG
            why = f"the newest block is {lag:.0f} s old, the limit is {full.max_lag:g} s"
            return _breach(reading, State.HALTED if far else State.THROTTLED, "lag", why)
        case DatabaseLatency(seconds=seconds) if seconds > at.slow_store:
            why = f"the database took {seconds:.1f} s to answer"
            return _breach(reading, State.THROTTLED, "database", why)
    return None
