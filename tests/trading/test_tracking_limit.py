"""The tracking limit: its prices, its ends, and that nothing is ever bought twice."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import Side, Ticks
from mmbot_pipelines.core.exchange.order import OrderEvent, Word
from mmbot_pipelines.core.exchange.strategy import Outcome
from mmbot_pipelines.trading.strategies.tracking_limit import TrackingLimit
from tests.core.exchange.orders import NOON, a_market, event, filled
from tests.trading.venue import Accepting, FaultyVenue, Session

TARGET = 10  # lots


def a_session(rng: random.Random | None = None, **changed: Any) -> Session:
    market = a_market(**changed.pop("market", {}))
    strategy = TrackingLimit(**{"side": Side.BUY, "size": Decimal("1.0")} | changed)
    return Session(strategy, FaultyVenue(rng or Accepting()), market)


def touch(bid: int | None, ask: int | None) -> Touch:
    return Touch(bid=Ticks(bid) if bid else None, ask=Ticks(ask) if ask else None, at=NOON)


@pytest.mark.parametrize(
    ("side", "bid", "ask", "offset", "price"),
    [
        (Side.BUY, 99, 101, 0, 99),
        (Side.BUY, 99, 101, 2, 97),
        (Side.BUY, 99, 101, -5, 100),  # never into the other side
        (Side.BUY, 99, None, 1, 98),
        (Side.BUY, None, 101, 0, 100),
        (Side.BUY, 1, 3, 7, 1),  # never below a tick
        (Side.SELL, 99, 101, 0, 101),
        (Side.SELL, 99, 101, 2, 103),
        (Side.SELL, 99, 101, -5, 100),
        (Side.SELL, None, 101, 1, 102),
        (Side.SELL, 99, None, 0, 100),
        (Side.SELL, None, None, 0, None),
    ],
)
def test_its_price(side: Side, bid: int, ask: int, offset: int, price: int | None) -> None:
    strategy = TrackingLimit(side=side, size=Decimal(1), offset_ticks=offset)
    assert strategy.price(touch(bid, ask)) == price


@pytest.mark.parametrize(("size", "fault"), [("0", "above 0"), ("-1", "above 0"), ("0.05", "0.1")])
def test_a_size_that_cannot_be_is_refused(size: str, fault: str) -> None:
    with pytest.raises(InvalidSettings, match=f"size.*{fault}"):
        a_session(size=Decimal(size)).decide()


def test_it_fills_at_the_touch() -> None:
    session = a_session()
    placed = session.decide()
    assert [(order.price, order.size) for order in placed.place] == [(99, TARGET)]
    session.apply(1, filled("1", TARGET))
    assert session.decide(1).result is not None
    assert session.result is not None
    assert (session.result.reason, session.result.filled) == ("filled", TARGET)


def test_it_moves_with_the_touch_for_what_is_missing() -> None:
    session = a_session()
    session.decide()
    session.apply(1, filled("1", 4))
    assert session.decide(9.9).cancel == ()
    assert session.decide(0.1).cancel == (1,)
    session.touch = touch(97, 101)
    assert session.decide(0.1).place == ()  # its end is not known yet
    session.deliver(9)
    assert [(order.price, order.size) for order in session.decide(0.1).place] == [(97, 6)]


def test_a_cancel_without_an_answer_is_repeated() -> None:
    session = a_session()
    session.decide()
    session.venue.orders.clear()  # the cancel finds nothing
    assert session.decide(10).cancel == (1,)
    assert session.decide(1.9).cancel == ()
    assert session.decide(0.1).cancel == (1,)


def test_a_total_without_its_trades_is_waited_for() -> None:
    session = a_session()
    session.decide()
    session.apply(1, event(Word.CANCELED, 4))
    assert session.decide(60).place == ()
    session.apply(1, filled("1", 4))
    assert [order.size for order in session.decide(1).place] == [6]


def test_an_order_that_would_have_taken_goes_a_tick_further() -> None:
    session = a_session(post_only=True)
    session.decide()
    for number, price in ((1, 98), (2, 97)):
        session.apply(number, event(Word.REJECTED, 0, reason="post-only: would have taken"))
        placed = session.decide(0.1).place
        assert [(order.price, order.post_only) for order in placed] == [(price, True)]


def test_another_rejection_fails_it() -> None:
    session = a_session()
    session.decide()
    session.apply(1, event(Word.REJECTED, 0, reason="INSUFFICIENT_FUNDS"))
    session.decide(0.1)
    assert session.result is not None
    assert (session.result.outcome, session.result.reason) == (Outcome.FAILED, "INSUFFICIENT_FUNDS")


def test_a_rest_below_the_smallest_order_is_reported() -> None:
    session = a_session(market={"min_size": Decimal("0.3")})
    session.decide()
    session.apply(1, filled("1", 8))
    session.decide(10)
    session.deliver(9)
    session.decide(0.1)
    assert session.result is not None
    assert session.result.reason == "filled but for 0.2: below the smallest order"


def test_its_time_ends_with_what_was_filled() -> None:
    session = a_session(timeout=15.0)
    session.decide()
    session.apply(1, filled("1", 4))
    session.decide(10)
    session.deliver(9)
    assert session.decide(0).wake_at == session.view.at + (session.view.at - NOON) / 2
    assert session.decide(5).cancel == (2,)
    session.deliver(9)
    session.decide(0.1)
    assert session.result is not None
    assert (session.result.reason, session.result.filled) == ("timeout", 4)


def test_without_a_book_it_waits_and_gives_up() -> None:
    session = a_session()
    session.touch = None
    assert session.decide().place == ()
    session.decide(120)
    assert session.result is not None
    assert (session.result.reason, session.result.filled) == ("timeout: no fresh book", 0)


@given(st.integers(), st.lists(st.sampled_from(["decide", "trade", "deliver", "ask"]), max_size=80))
def test_nothing_is_bought_twice(seed: int, steps: list[str]) -> None:
    session = a_session(random.Random(seed), post_only=True)
    venue = session.venue
    for step in [*steps, *["ask", "deliver", "decide"] * 90]:
        match step:
            case "decide" if session.result is None:
                session.decide(2.5)
            case "trade":
                venue.trade()
            case "deliver":
                session.deliver(2)
            case "ask":
                session.look_up()
        assert venue.exposed <= TARGET
    assert session.result is not None
    assert session.result.filled == venue.filled
    assert venue.exposed == venue.filled


def test_reports_before_the_answer_count() -> None:
    session = a_session()
    session.decide()
    session.apply(1, OrderEvent(word=Word.NO_ANSWER, reason="timed out"))
    session.apply(1, filled("1", 3))
    session.decide(10)
    session.deliver(9)
    assert [order.size for order in session.decide(0.1).place] == [7]
