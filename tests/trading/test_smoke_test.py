"""The smoke test: there and back, flat in the end, and every failure named."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.exchange.market import Lots, MarketKind, Side
from mmbot_pipelines.core.exchange.order import OrderType, Word
from mmbot_pipelines.core.exchange.strategy import Outcome, VenueState
from mmbot_pipelines.trading.strategies.smoke_test import SmokeTest
from tests.core.exchange.orders import a_market, event, filled
from tests.trading.venue import Accepting, FaultyVenue, Session


def a_session(rng: random.Random | None = None, **changed: Any) -> Session:
    market = a_market(**{"min_notional": Decimal("1.95"), "min_size": Decimal("0.3")} | changed)
    return Session(SmokeTest(), FaultyVenue(rng or Accepting()), market)


def bought(session: Session) -> Session:
    """Have it buy its 20 lots: 1.95 USDC at 0.99 need 1.97 SOL, so 20 tenths."""
    session.decide()
    session.apply(1, filled("1", 20))
    session.venue.orders[1].filled, session.venue.orders[1].is_open = 20, False
    session.decide(1)
    return session


def sold(session: Session, size: int = 20) -> Session:
    """Have its exit filled."""
    client_id = max(session.orders)
    order = session.venue.orders[client_id]
    order.filled, order.is_open = size, False
    session.apply(client_id, filled(f"exit {client_id}", size, size))
    session.apply(client_id, event(Word.CANCELED, size, reason="IOC_CANCEL"))
    return session


def ended(session: Session) -> tuple[Outcome, str]:
    session.decide(1)
    session.decide(0.1)
    assert session.result is not None
    return session.result.outcome, session.result.reason


def test_it_buys_the_smallest_order() -> None:
    placed = a_session().decide().place
    assert [(order.side, order.size, order.price) for order in placed] == [(Side.BUY, 20, 99)]


@pytest.mark.parametrize("kind", MarketKind)
def test_it_sells_what_it_bought_after_a_pause(kind: MarketKind) -> None:
    session = bought(a_session(kind=kind))
    assert session.decide(4.9).place == ()
    (order,) = session.decide(0.1).place
    assert (order.side, order.size, order.type) == (Side.SELL, 20, OrderType.MARKET)
    assert order.reduce_only == (kind is MarketKind.PERPETUAL)
    assert ended(sold(session)) == (Outcome.FINISHED, "flat")


def test_success_needs_the_venues_answer_from_after_the_exit() -> None:
    session = bought(a_session())
    session.decide(5)
    session.view = replace(
        session.view, venue=VenueState(at=session.view.at, open_orders=0, position=Lots(0))
    )
    assert sold(session).decide(1).ask_venue


def test_a_position_at_the_venue_is_a_failure() -> None:
    session = bought(a_session())
    session.decide(5)
    sold(session)
    session.venue.orders[1].filled = 23
    session.venue.orders[1].is_open = True
    outcome, reason = ended(session)
    assert outcome is Outcome.FAILED
    assert reason == "venue: it has 1 open orders; venue: it holds a position of 0.3"


def test_an_exit_that_sells_nothing_is_a_failure_and_is_tried_again() -> None:
    session = bought(a_session())
    session.decide(5)
    sold(session, 0)
    session.apply(2, event(Word.CANCELED, 0, reason="IOC_CANCEL"))
    assert session.decide(0.4).place == ()
    assert [order.size for order in session.decide(0.1).place] == [20]
    assert ended(sold(session)) == (Outcome.FAILED, "exit: IOC_CANCEL")


def test_what_is_left_after_three_more_rounds_is_named() -> None:
    session = bought(a_session())
    session.decide(5)
    for size in (8, 4, 4, 1):
        sold(session, size)
        session.decide(0.5)
    outcome, reason = ended(session)
    assert outcome is Outcome.FAILED
    assert reason == "position: 0.3 are left; venue: it holds a position of 0.3"
    assert len(session.orders) == 5


def test_an_exit_without_an_end_is_cancelled() -> None:
    session = bought(a_session())
    session.decide(5)
    assert session.decide(29.9).cancel == ()
    assert session.decide(0.1).cancel == (2,)


def test_a_rejected_buy_is_named() -> None:
    session = a_session()
    session.decide()
    session.venue.orders.clear()
    session.apply(1, event(Word.REJECTED, 0, reason="INSUFFICIENT_FUNDS"))
    session.decide(1)
    assert ended(session) == (Outcome.FAILED, "tracking: INSUFFICIENT_FUNDS")


def test_without_a_book_it_buys_nothing() -> None:
    session = a_session()
    session.touch = None
    assert session.decide().wake_at is not None
    assert session.decide(119).place == ()
    session.decide(1)
    assert ended(session) == (Outcome.FAILED, "tracking: timeout: no fresh book")


@pytest.mark.parametrize("name", ["tracking_timeout", "interval", "market_timeout", "cancel_wait"])
def test_times_have_lower_bounds(name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} is 0.4: set"):
        SmokeTest(**{name: 0.4})


@given(st.integers(), st.lists(st.sampled_from(["decide", "trade", "deliver", "ask"]), max_size=60))
def test_success_means_flat(seed: int, steps: list[str]) -> None:
    session = a_session(random.Random(seed))
    venue = session.venue
    for step in [*steps, *["ask", "trade", "deliver", "decide"] * 150]:
        match step:
            case "decide" if session.result is None:
                session.decide(2.5)
            case "trade":
                venue.trade()
            case "deliver":
                session.deliver(2)
            case "ask":
                session.look_up()
        assert 0 <= venue.position <= 20
    assert session.result is not None
    is_flat = venue.position == 0 and venue.exposed == venue.filled
    assert is_flat or session.result.outcome is Outcome.FAILED
