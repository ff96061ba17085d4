"""Nonces: counted here, never handed out twice, asked again after any doubt."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from mmbot_pipelines.core.exchange.sequence import NonceCounter, NonceUnknown


@pytest.fixture
def counter() -> NonceCounter:
    counter = NonceCounter(cooldown_seconds=10.0)
    counter.resync(5, may_reuse=True)
    return counter


def test_nothing_is_sent_before_the_venue_was_asked() -> None:
    with pytest.raises(NonceUnknown):
        NonceCounter(cooldown_seconds=10.0).take()


def test_numbers_are_handed_out_in_turn(counter: NonceCounter) -> None:
    assert [counter.take(), counter.take()] == [5, 6]


def test_the_last_number_is_used_again_when_it_was_not_consumed(counter: NonceCounter) -> None:
    counter.release(counter.take())
    assert counter.take() == 5


def test_an_earlier_number_that_was_not_consumed_is_a_doubt(counter: NonceCounter) -> None:
    first, _ = counter.take(), counter.take()
    counter.release(first)
    with pytest.raises(NonceUnknown):
        counter.take()


def test_a_mismatch_cools_down_and_is_counted(counter: NonceCounter) -> None:
    counter.mismatch(100.0)
    assert (counter.wait_seconds(104.0), counter.wait_seconds(111.0)) == (6.0, 0.0)
    assert counter.mismatches == 1
    with pytest.raises(NonceUnknown):
        counter.take()


def test_a_venue_that_is_behind_gives_no_number_twice(counter: NonceCounter) -> None:
    counter.take()
    counter.take()
    counter.doubt()
    counter.resync(5, may_reuse=False)
    assert counter.take() == 7
    counter.doubt()
    counter.resync(5, may_reuse=True)
    assert counter.take() == 5


class Sending(RuleBasedStateMachine):
    """A venue that consumes numbers, loses answers and lags, and a counter that is asked by it."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = NonceCounter(cooldown_seconds=1.0)
        self.consumed: set[int] = set()
        self.in_flight: set[int] = set()  # may arrive yet

    @property
    def next(self) -> int:
        return max(self.consumed, default=-1) + 1

    @rule(behind=st.integers(0, 3))
    def ask(self, behind: int) -> None:
        nothing_in_flight = not self.in_flight
        number = self.next if nothing_in_flight else max(0, self.next - behind)
        self.counter.resync(number, may_reuse=nothing_in_flight)

    @rule(answer=st.sampled_from(["taken", "refused", "lost"]))
    def send(self, answer: str) -> None:
        try:
            number = self.counter.take()
        except NonceUnknown:
            return
        assert number not in self.consumed | self.in_flight
        if answer == "taken":
            self.consumed.add(number)
        elif answer == "refused":
            self.counter.release(number)
        else:
            self.in_flight.add(number)
            self.counter.doubt()

    @precondition(lambda self: self.in_flight)
    @rule(arrives=st.booleans())
    def decide(self, arrives: bool) -> None:
        number = self.in_flight.pop()
        if arrives:
            self.consumed.add(number)


TestSending = Sending.TestCase
