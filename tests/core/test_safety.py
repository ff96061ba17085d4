"""How a scope's state moves."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.safety import (
    BOT,
    CALM_SECONDS,
    GLOBAL,
    Standing,
    State,
    Trip,
    judged,
    ruling,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NORMAL = Standing(scope=GLOBAL)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def trip(state: State, cause: str = "lag", why: str = "the block is old") -> Trip:
    return Trip(scope=GLOBAL, state=state, cause=cause, why=why)


def moved(now: Standing, trips: list[Trip], seconds: float, *, complete: bool = True) -> Standing:
    found = judged(now, trips, at=after(seconds), complete=complete)
    assert found is not None
    return found


THROTTLED = moved(NORMAL, [trip(State.THROTTLED)], 0)
HALTED = moved(NORMAL, [trip(State.HALTED, "failures", "10 failed")], 0)


def test_nothing_wrong_changes_nothing() -> None:
    assert judged(NORMAL, [], at=NOON) is None


def test_a_throttle_ends_by_itself_once_it_was_calm_for_a_while() -> None:
    assert (THROTTLED.state, THROTTLED.by, THROTTLED.why) == (
        State.THROTTLED,
        BOT,
        "the block is old",
    )
    assert judged(THROTTLED, [], at=after(CALM_SECONDS - 1)) is None
    over = moved(THROTTLED, [], CALM_SECONDS)
    assert (over.state, over.since, over.resumed_at) == (State.NORMAL, after(CALM_SECONDS), None)
    assert over.why == "over: the block is old"


def test_a_cause_that_comes_and_goes_is_one_throttle() -> None:
    seen = moved(THROTTLED, [trip(State.THROTTLED)], CALM_SECONDS - 1)
    assert (seen.since, seen.why) == (THROTTLED.since, THROTTLED.why)
    assert judged(seen, [], at=after(CALM_SECONDS + 1)) is None
    assert moved(seen, [], 2 * CALM_SECONDS).state is State.NORMAL


def test_another_cause_is_told() -> None:
    both = [trip(State.THROTTLED), trip(State.THROTTLED, "database", "it is slow")]
    now = moved(THROTTLED, both, 5)
    assert (now.since, now.why) == (NOON, "the block is old; it is slow")
    assert now.causes == {"lag", "database"}


def test_a_partial_look_ends_no_throttle_and_forgets_no_cause() -> None:
    assert judged(THROTTLED, [], at=after(999), complete=False) is None
    rate = [trip(State.THROTTLED, "failure rate", "many fail")]
    assert moved(THROTTLED, rate, 5, complete=False).causes == {"lag", "failure rate"}


def test_the_strictest_trip_wins_and_says_only_its_own_reason() -> None:
    trips = [trip(State.THROTTLED), trip(State.HALTED, "failures", "10 failed")]
    for now in (NORMAL, THROTTLED):
        halted = moved(now, trips, 5)
        assert (halted.state, halted.since, halted.why) == (State.HALTED, after(5), "10 failed")


@given(
    st.lists(st.sampled_from([State.THROTTLED, State.HALTED])), st.integers(0, 10**9), st.booleans()
)
def test_nothing_but_a_person_ends_a_halt(
    states: list[State], seconds: int, complete: bool
) -> None:
    trips = [trip(state) for state in states]
    assert judged(HALTED, trips, at=after(seconds), complete=complete) is None


def test_the_stricter_of_global_and_own_rules() -> None:
    zksync = Standing(scope="zksync", state=State.THROTTLED)
    assert ruling([], "zksync") == NORMAL
    assert ruling([zksync], "zksync") == zksync
    assert ruling([zksync], "starknet") == NORMAL
    assert ruling([HALTED, zksync], "zksync") == HALTED


def test_a_standing_is_one_line() -> None:
    assert NORMAL.told == "global is NORMAL"
    assert HALTED.told == "global is HALTED since 2026-11-20 12:00:00 UTC by mmbot: 10 failed"
