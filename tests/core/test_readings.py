"""When a reading is too much, and when it is good again."""

import pytest

from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.readings import (
    ChainLag,
    DatabaseLatency,
    ExposureReading,
    FailureReading,
    RevertedGas,
    SafetyReading,
    SafetyThresholds,
    WalletBalance,
    find_breaches,
)
from mmbot_pipelines.core.safety import GLOBAL, State

WALLET = Address("0x" + "11" * 20)

LIMITS = SafetyThresholds(
    max_exposure=Wei(1000), max_gas_lost=Wei(1000), min_balance=Wei(50), max_lag=300.0
)
HALTED, THROTTLED = State.HALTED, State.THROTTLED


def failures(in_a_row: int, failed: int = 0, finished: int = 0) -> FailureReading:
    return FailureReading(scope=GLOBAL, in_a_row=in_a_row, failed=failed, finished=finished)


def asked(
    reading: SafetyReading, *, throttled: bool = False, limits: SafetyThresholds = LIMITS
) -> object:
    breaches = find_breaches([reading], limits, frozenset([reading.scope] if throttled else []))
    assert len(breaches) <= 1
    return (breaches[0].state, breaches[0].cause) if breaches else None


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (failures(9), None),
        (failures(10), (HALTED, "failures")),
        (failures(1, 5, 10), (THROTTLED, "failure rate")),
        (failures(1, 4, 10), None),
        (failures(9, 9, 9), None),  # too few to speak of a rate
        (ExposureReading(scope=GLOBAL, out=Wei(999)), None),
        (ExposureReading(scope=GLOBAL, out=Wei(1000)), (THROTTLED, "exposure")),
        (RevertedGas(scope=GLOBAL, lost=Wei(1000)), None),
        (RevertedGas(scope=GLOBAL, lost=Wei(1001)), (THROTTLED, "gas lost")),
        (WalletBalance(scope=GLOBAL, wallet=WALLET, balance=Wei(49)), None),
        (WalletBalance(scope=GLOBAL, wallet=WALLET, balance=Wei(50), missing=Wei(1)), None),
        (
            WalletBalance(scope=GLOBAL, wallet=WALLET, balance=Wei(49), missing=Wei(1)),
            (HALTED, "balance"),
        ),
        (ChainLag(scope="zksync", lag=300.0), None),
        (ChainLag(scope="zksync", lag=300.1), (THROTTLED, "lag")),
        (ChainLag(scope="zksync", lag=3000.1), (HALTED, "lag")),
        (ChainLag(scope="zksync", lag=None, trouble="nobody"), (THROTTLED, "unreachable")),
        (DatabaseLatency(scope=GLOBAL, seconds=2.0), None),
        (DatabaseLatency(scope=GLOBAL, seconds=2.1), (THROTTLED, "database")),
    ],
)
def test_a_reading_asks_for_a_state_from_its_threshold_on(
    reading: SafetyReading, verdict: object
) -> None:
    assert asked(reading) == verdict


@pytest.mark.parametrize(
    ("bad", "still_bad", "good"),
    [
        (failures(1, 50, 100), failures(1, 25, 100), failures(1, 24, 100)),
        (
            ExposureReading(scope=GLOBAL, out=Wei(1000)),
            ExposureReading(scope=GLOBAL, out=Wei(900)),
            ExposureReading(scope=GLOBAL, out=Wei(899)),
        ),
        (
            RevertedGas(scope=GLOBAL, lost=Wei(1001)),
            RevertedGas(scope=GLOBAL, lost=Wei(901)),
            RevertedGas(scope=GLOBAL, lost=Wei(900)),
        ),
        (
            ChainLag(scope="zksync", lag=301),
            ChainLag(scope="zksync", lag=151),
            ChainLag(scope="zksync", lag=150),
        ),
        (
            DatabaseLatency(scope=GLOBAL, seconds=2.1),
            DatabaseLatency(scope=GLOBAL, seconds=1.1),
            DatabaseLatency(scope=GLOBAL, seconds=1.0),
        ),
    ],
)
def test_a_throttle_ends_further_down_than_it_began(
    bad: SafetyReading, still_bad: SafetyReading, good: SafetyReading
) -> None:
    assert asked(bad) is not None
    assert asked(still_bad) is None
    assert asked(still_bad, throttled=True) is not None
    assert asked(good, throttled=True) is None


def test_what_halts_halts_a_throttled_scope_at_the_same_mark() -> None:
    for reading in (
        failures(9),
        WalletBalance(scope=GLOBAL, wallet=WALLET, balance=Wei(50), missing=Wei(1)),
    ):
        assert asked(reading, throttled=True) is None
    assert asked(ChainLag(scope="zksync", lag=3000.0), throttled=True) == (THROTTLED, "lag")


def test_a_limit_that_is_not_set_is_never_passed() -> None:
    for reading in (
        ExposureReading(scope=GLOBAL, out=Wei(10**30)),
        RevertedGas(scope=GLOBAL, lost=Wei(10**30)),
        WalletBalance(scope=GLOBAL, wallet=WALLET, balance=Wei(0), missing=Wei(1)),
        ChainLag(scope="zksync", lag=10.0**9),
    ):
        assert asked(reading, limits=SafetyThresholds()) is None


def test_every_reading_is_judged_in_its_own_scope() -> None:
    readings = [
        ChainLag(scope="starknet", lag=301.0),
        ChainLag(scope="zksync", lag=1.0),
        failures(10),
    ]
    breaches = find_breaches(readings, LIMITS, frozenset(["zksync"]))
    assert [(t.scope, t.state) for t in breaches] == [("starknet", THROTTLED), (GLOBAL, HALTED)]
    assert "301 s old" in breaches[0].why
