"""One node's score and circuit breaker, with a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.rpc.health import (
    NodeFault,
    NodeFaultKind,
    NodeHealth,
    ReportedHead,
    lags,
)

_NOW = 1_700_000_000
COUNTED = [NodeFaultKind.UNREACHABLE, NodeFaultKind.HTTP, NodeFaultKind.GARBAGE]


@pytest.mark.parametrize("kind", COUNTED)
def test_breaker_opens_after_three_faults_in_a_row(kind: NodeFaultKind) -> None:
    health = NodeHealth()
    assert [health.record_failure(NodeFault("bad", kind), 0.0) for _ in range(3)] == [
        None,
        None,
        5.0,
    ]
    assert not health.is_serving


def test_an_answer_in_between_begins_the_count_from_zero() -> None:
    health = NodeHealth()
    for _ in range(5):
        health.record_failure(NodeFault("bad", NodeFaultKind.HTTP), 0.0)
        health.record_failure(NodeFault("bad", NodeFaultKind.HTTP), 0.0)
        assert not health.record_success()
    assert health.is_serving


@pytest.mark.parametrize("kind", [NodeFaultKind.TIMEOUT, NodeFaultKind.RATE_LIMITED])
def test_what_costs_most_opens_at_once(kind: NodeFaultKind) -> None:
    assert NodeHealth().record_failure(NodeFault("bad", kind), 0.0) == 5.0


@pytest.mark.parametrize(
    "kind", [NodeFaultKind.TOO_LARGE, NodeFaultKind.BEHIND, NodeFaultKind.INTERNAL]
)
def test_what_a_question_may_have_provoked_never_opens(kind: NodeFaultKind) -> None:
    health = NodeHealth()
    assert [health.record_failure(NodeFault("bad", kind), 0.0) for _ in range(20)] == [None] * 20
    assert health.is_serving


def test_wrong_chain_opens_the_circuit_longest() -> None:
    assert NodeHealth().record_failure(NodeFault("bad", NodeFaultKind.WRONG_CHAIN), 0.0) == 300.0


def test_a_trial_follows_each_open_period_which_doubles() -> None:
    health, now, durations = NodeHealth(), 0.0, []
    for _ in range(9):
        open_seconds = health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), now)
        assert open_seconds is not None
        durations.append(open_seconds)
        assert not health.can_retry(now + open_seconds - 0.001)
        now += open_seconds
        assert health.can_retry(now)
    assert durations == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_faults_while_the_circuit_is_open_change_nothing() -> None:
    health = NodeHealth()
    health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), 0.0)
    assert health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), 4.0) is None
    assert health.can_retry(5.0)


def test_success_closes_and_resets_the_backoff() -> None:
    health = NodeHealth()
    health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), 0.0)
    health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), 5.0)
    assert health.record_success()
    assert health.is_serving
    assert health.fault is None
    assert health.record_failure(NodeFault("bad", NodeFaultKind.TIMEOUT), 100.0) == 5.0


def test_score_falls_with_faults_slowness_and_lag() -> None:
    fresh, record_failure, slow, behind = NodeHealth(), NodeHealth(), NodeHealth(), NodeHealth()
    record_failure.record_failure(NodeFault("bad", NodeFaultKind.HTTP), 0.0)
    slow.record_success(2.0)
    behind.lag = 6
    assert max(record_failure.score, slow.score, behind.score) < fresh.score
    assert behind.score < min(record_failure.score, slow.score)


def test_lag_of_few_blocks_is_none() -> None:
    near = NodeHealth()
    near.lag = 5
    assert near.score == NodeHealth().score


FAULTS = st.tuples(st.sampled_from(NodeFaultKind), st.floats(0, 100))
ANSWERS = st.none() | st.floats(0, 100)


@given(st.lists(FAULTS | ANSWERS, max_size=60))
def test_no_history_breaks_the_bounds(history: list[object]) -> None:
    health, now = NodeHealth(), 0.0
    for event in history:
        if isinstance(event, tuple):
            kind, passed = event
            now += passed
            open_seconds = health.record_failure(NodeFault("bad", kind), now)
            assert open_seconds is None or 5.0 <= open_seconds <= 300.0
        else:
            health.record_success(event)
            assert health.is_serving
        assert 0 <= health.score <= 1
        assert health.is_serving or health.can_retry(now + 300.0)


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ([ReportedHead(9, _NOW - 1)], [0]),
        (
            [ReportedHead(9, _NOW - 1), ReportedHead(99, _NOW - 1)],
            [0, 0],
        ),  # a height of one alone moves nobody
        (
            [ReportedHead(9, _NOW - 60), ReportedHead(99, _NOW - 1)],
            [90, 0],
        ),  # but this one admits that there are newer
        (
            [ReportedHead(9, _NOW - 60), ReportedHead(99, _NOW - 60)],
            [0, 0],
        ),  # the chain stands still, and one invents
        ([ReportedHead(9, _NOW - 60), ReportedHead(99, None)], [0, 0]),
        (
            [ReportedHead(9, _NOW - 1), ReportedHead(99, _NOW - 1), ReportedHead(98, _NOW - 1)],
            [89, 0, 0],
        ),
    ],
)
def test_a_node_lags_behind_the_second_highest(
    heads: list[ReportedHead], expected: list[int]
) -> None:
    assert lags(heads, _NOW) == expected
