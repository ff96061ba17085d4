"""One node's score and circuit breaker, with a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.ethereum.health import Head, Health, Kind, lags

COUNTED = [Kind.UNREACHABLE, Kind.HTTP, Kind.GARBAGE]


@pytest.mark.parametrize("kind", COUNTED)
def test_breaker_opens_after_three_faults_in_a_row(kind: Kind) -> None:
    health = Health()
    assert [health.failed(kind, "bad", 0.0) for _ in range(3)] == [None, None, 5.0]
    assert not health.serving


def test_an_answer_in_between_begins_the_count_anew() -> None:
    health = Health()
    for _ in range(5):
        health.failed(Kind.HTTP, "bad", 0.0)
        health.failed(Kind.HTTP, "bad", 0.0)
        assert not health.worked()
    assert health.serving


@pytest.mark.parametrize("kind", [Kind.TIMEOUT, Kind.RATE_LIMITED])
def test_what_costs_most_opens_at_once(kind: Kind) -> None:
    assert Health().failed(kind, "bad", 0.0) == 5.0


@pytest.mark.parametrize("kind", [Kind.TOO_LARGE, Kind.BEHIND, Kind.INTERNAL])
def test_what_a_question_may_have_provoked_never_opens(kind: Kind) -> None:
    health = Health()
    assert [health.failed(kind, "bad", 0.0) for _ in range(20)] == [None] * 20
    assert health.serving


def test_wrong_chain_rests_longest() -> None:
    assert Health().failed(Kind.WRONG_CHAIN, "bad", 0.0) == 300.0


def test_trial_comes_when_the_rest_is_over_and_each_rest_is_twice_as_long() -> None:
    health, now, rests = Health(), 0.0, []
    for _ in range(9):
        rest = health.failed(Kind.TIMEOUT, "bad", now)
        assert rest is not None
        rests.append(rest)
        assert not health.rested(now + rest - 0.001)
        now += rest
        assert health.rested(now)
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_faults_while_it_rests_change_nothing() -> None:
    health = Health()
    health.failed(Kind.TIMEOUT, "bad", 0.0)
    assert health.failed(Kind.TIMEOUT, "bad", 4.0) is None
    assert health.rested(5.0)


def test_success_closes_and_forgets_the_rests() -> None:
    health = Health()
    health.failed(Kind.TIMEOUT, "bad", 0.0)
    health.failed(Kind.TIMEOUT, "bad", 5.0)
    assert health.worked()
    assert health.serving
    assert health.fault is None
    assert health.failed(Kind.TIMEOUT, "bad", 100.0) == 5.0


def test_score_falls_with_faults_slowness_and_lag() -> None:
    fresh, failed, slow, behind = Health(), Health(), Health(), Health()
    failed.failed(Kind.HTTP, "bad", 0.0)
    slow.worked(2.0)
    behind.lag = 6
    assert max(failed.score, slow.score, behind.score) < fresh.score
    assert behind.score < min(failed.score, slow.score)


def test_lag_of_few_blocks_is_none() -> None:
    near = Health()
    near.lag = 5
    assert near.score == Health().score


FAULTS = st.tuples(st.sampled_from(Kind), st.floats(0, 100))
ANSWERS = st.none() | st.floats(0, 100)


@given(st.lists(FAULTS | ANSWERS, max_size=60))
def test_no_history_breaks_the_bounds(history: list[object]) -> None:
    health, now = Health(), 0.0
    for event in history:
        if isinstance(event, tuple):
            kind, passed = event
            now += passed
            rest = health.failed(kind, "bad", now)
            assert rest is None or 5.0 <= rest <= 300.0
        else:
            health.worked(event)  # type: ignore[arg-type]
            assert health.serving
        assert 0 <= health.score <= 1
        assert health.serving or health.rested(now + 300.0)


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ([Head(9, 1)], [0]),
        ([Head(9, 1), Head(99, 1)], [0, 0]),  # a height of one alone moves nobody
        ([Head(9, 60), Head(99, 1)], [90, 0]),  # but this one admits that there are newer
        ([Head(9, 60), Head(99, 60)], [0, 0]),  # the chain stands still, and one invents
        ([Head(9, 60), Head(99, None)], [0, 0]),
        ([Head(9, 1), Head(99, 1), Head(98, 1)], [89, 0, 0]),
    ],
)
def test_a_node_lags_behind_the_second_highest(heads: list[Head], expected: list[int]) -> None:
    assert lags(heads) == expected
