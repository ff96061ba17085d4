"""The budget of requests: never exceeded, and cancels go first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.exchange.rate_limit import Priority, RateLimit


def a_limit(capacity: int = 10, per_second: float = 1.0, **reserved: int) -> RateLimit:
    return RateLimit(
        capacity=capacity,
        per_second=per_second,
        reserved={Priority[name]: left for name, left in reserved.items()},
    )


def test_cancels_go_before_creates_before_reads() -> None:
    limit = a_limit()
    read, create, first, second = (
        limit.ask(priority)
        for priority in (Priority.READ, Priority.CREATE, Priority.CANCEL, Priority.CANCEL)
    )
    assert [limit.next(0.0) for _ in range(5)] == [first, second, create, read, None]


def test_a_request_waits_for_its_tokens() -> None:
    limit = a_limit(per_second=2.0)
    limit.ask(Priority.READ, 10)
    assert limit.next(0.0) is not None
    waiting = limit.ask(Priority.READ, 3)
    assert (limit.next(0.0), limit.wait_seconds(0.5)) == (None, 1.0)
    assert limit.next(1.5) == waiting


def test_something_is_left_for_what_is_more_urgent() -> None:
    limit = a_limit(READ=4, CREATE=2)
    for _ in range(10):
        limit.ask(Priority.READ)
    assert sum(limit.next(0.0) is not None for _ in range(10)) == 6
    create = limit.ask(Priority.CREATE, 2)
    assert limit.next(0.0) == create
    cancel = limit.ask(Priority.CANCEL, 2)
    assert limit.next(0.0) == cancel
    assert limit.left(0.0) == 0


def test_nothing_is_sent_after_a_refusal() -> None:
    limit = a_limit()
    limit.refused(0.0, 30.0)
    cancel = limit.ask(Priority.CANCEL)
    assert (limit.next(29.0), limit.wait_seconds(29.0)) == (None, 1.0)
    assert limit.next(30.0) == cancel


def test_a_caller_that_is_gone_holds_nobody_up() -> None:
    limit = a_limit(capacity=5)
    limit.ask(Priority.READ, 5)
    limit.next(0.0)
    gone, waiting = limit.ask(Priority.READ, 5), limit.ask(Priority.READ, 1)
    limit.forget(gone)
    assert limit.next(1.0) == waiting


@pytest.mark.parametrize("weight", [0, -1, 9])
def test_what_can_never_be_sent_is_refused_at_once(weight: int) -> None:
    with pytest.raises(ValueError, match="does not fit into a budget of 8"):
        a_limit(READ=2).ask(Priority.READ, weight)


_REQUESTS = st.tuples(st.floats(0, 3), st.sampled_from(Priority), st.integers(1, 6), st.booleans())


@given(st.lists(_REQUESTS, max_size=30), st.floats(0.1, 10))
def test_no_span_of_time_exceeds_the_budget(
    requests: list[tuple[float, Priority, int, bool]], per_second: float
) -> None:
    limit, now, sent = a_limit(per_second=per_second, READ=2), 0.0, list[tuple[float, int]]()
    for pause, priority, weight, is_refused in requests:
        now += pause
        if is_refused:
            limit.refused(now, pause)
        limit.ask(priority, weight)
        while (ticket := limit.next(now)) is not None:
            sent.append((now, ticket.weight))
    for number, (begun, _) in enumerate(sent):
        total = 0
        for at, weight in sent[number:]:
            total += weight
            assert total <= 10 + per_second * (at - begun) + 1e-6
