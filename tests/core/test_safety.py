"""How a scope's state moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.safety import (
    BOT,
    GLOBAL,
    RECOVERY_SECONDS,
    Breach,
    ScopeState,
    State,
    effective_state,
    next_scope_state,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NORMAL = ScopeState(scope=GLOBAL)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def breach(state: State, cause: str = "lag", why: str = "the block is old") -> Breach:
    return Breach(scope=GLOBAL, state=state, cause=cause, why=why)


def moved(
    now: ScopeState, breaches: list[Breach], seconds: float, *, complete: bool = True
) -> ScopeState:
    found = next_scope_state(now, breaches, at=after(seconds), complete=complete)
    assert found is not None
    return found


THROTTLED = moved(NORMAL, [breach(State.THROTTLED)], 0)
HALTED = moved(NORMAL, [breach(State.HALTED, "failures", "10 failed")], 0)


def test_nothing_wrong_changes_nothing() -> None:
    assert next_scope_state(NORMAL, [], at=NOON) is None


def test_a_throttle_ends_by_itself_once_it_was_calm_for_a_while() -> None:
    assert (THROTTLED.state, THROTTLED.by, THROTTLED.why) == (
        State.THROTTLED,
        BOT,
        "the block is old",
    )
    assert next_scope_state(THROTTLED, [], at=after(RECOVERY_SECONDS - 1)) is None
    over = moved(THROTTLED, [], RECOVERY_SECONDS)
    assert (over.state, over.since, over.resumed_at) == (
        State.NORMAL,
        after(RECOVERY_SECONDS),
        None,
    )
    assert over.why == "resolved: the block is old"


def test_a_cause_that_comes_and_goes_is_one_throttle() -> None:
    seen = moved(THROTTLED, [breach(State.THROTTLED)], RECOVERY_SECONDS - 1)
    assert (seen.since, seen.why) == (THROTTLED.since, THROTTLED.why)
    assert next_scope_state(seen, [], at=after(RECOVERY_SECONDS + 1)) is None
    assert moved(seen, [], 2 * RECOVERY_SECONDS).state is State.NORMAL


def test_another_cause_is_reported() -> None:
    both = [breach(State.THROTTLED), breach(State.THROTTLED, "database", "it is slow")]
    now = moved(THROTTLED, both, 5)
    assert (now.since, now.why) == (NOON, "the block is old; it is slow")
    assert now.causes == {"lag", "database"}


def test_a_partial_look_ends_no_throttle_and_forgets_no_cause() -> None:
    assert next_scope_state(THROTTLED, [], at=after(999), complete=False) is None
    rate = [breach(State.THROTTLED, "failure rate", "many fail")]
    assert moved(THROTTLED, rate, 5, complete=False).causes == {"lag", "failure rate"}


def test_a_change_is_compared_with_the_version_that_was_read() -> None:
    stored = replace(THROTTLED, version=7)
    assert moved(stored, [breach(State.HALTED)], 1).version == 7


def test_the_strictest_breach_wins_and_gives_only_its_own_reason() -> None:
    breaches = [breach(State.THROTTLED), breach(State.HALTED, "failures", "10 failed")]
    for now in (NORMAL, THROTTLED):
        halted = moved(now, breaches, 5)
        assert (halted.state, halted.since, halted.why) == (State.HALTED, after(5), "10 failed")


@given(
    st.lists(st.sampled_from([State.THROTTLED, State.HALTED])), st.integers(0, 10**9), st.booleans()
)
def test_nothing_but_a_person_ends_a_halt(
    states: list[State], seconds: int, complete: bool
) -> None:
    breaches = [breach(state) for state in states]
    assert next_scope_state(HALTED, breaches, at=after(seconds), complete=complete) is None


def test_the_stricter_of_global_and_own_rules() -> None:
    zksync = ScopeState(scope="zksync", state=State.THROTTLED)
    assert effective_state([], "zksync") == NORMAL
    assert effective_state([zksync], "zksync") == zksync
    assert effective_state([zksync], "starknet") == NORMAL
    assert effective_state([HALTED, zksync], "zksync") == HALTED


def test_a_standing_is_one_line() -> None:
    assert NORMAL.summary == "global is NORMAL"
    assert HALTED.summary == "global is HALTED since 2026-11-20 12:00:00 UTC by mmbot: 10 failed"
