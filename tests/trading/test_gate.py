"""What an order has to pass: each refusal, their order, and what is never refused."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import Lots, MarketKind, Side, Ticks
from mmbot_pipelines.core.exchange.strategy import Intent
from mmbot_pipelines.core.safety import ScopeState, State
from mmbot_pipelines.trading.gate import AccountView, Limits, refusal
from tests.core.exchange.orders import NOON, a_market

TIGHT = Limits(
    max_order_notional=Decimal(100),
    max_position_notional=Decimal(200),
    max_open_orders=5,
    max_daily_loss=Decimal(50),
)


def an_order(**changed: Any) -> Intent:
    return Intent(**{"side": Side.BUY, "size": Lots(10), "price": Ticks(2_000)} | changed)


def an_account(kind: MarketKind = MarketKind.PERPETUAL, **changed: Any) -> AccountView:
    given: dict[str, Any] = {
        "at": NOON,
        "market": a_market(kind=kind),
        "touch": Touch(bid=Ticks(1_999), ask=Ticks(2_001), at=NOON),
        "state": ScopeState(scope="backpack-main"),
        "position": Lots(0),
        "open_buys": Lots(0),
        "open_sells": Lots(0),
        "open_orders": 0,
        "lost_today": Fraction(0),
        "available": Fraction(20),
        "rate_budget": 1.0,
    }
    return AccountView(**given | changed)


def state(given: State) -> ScopeState:
    return ScopeState(scope="backpack-main", state=given, causes=frozenset({"rejects"}))


SLOW = state(State.THROTTLED)
OLD = Touch(bid=Ticks(1_999), ask=Ticks(2_001), at=NOON - timedelta(seconds=6))


@pytest.mark.parametrize(
    ("order", "account", "reason"),
    [
        ({}, {}, None),
        ({}, {"state": state(State.HALTED)}, "backpack-main is HALTED"),
        ({}, {"state": SLOW}, "only what reduces a position is sent"),
        ({"side": Side.SELL}, {"state": SLOW, "position": 10}, None),
        ({"side": Side.SELL}, {"state": SLOW, "position": 9}, "only what reduces"),
        ({"side": Side.SELL}, {"state": SLOW, "position": 10, "open_sells": 1}, "only what"),
        ({}, {"touch": None}, "there is no book that can be believed"),
        ({}, {"touch": OLD}, "the book is 6.0 s old, more than 5 s"),
        ({"size": Lots(0)}, {}, "size 0.0 is below the market's least size 0.1"),
        ({"price": Ticks(2_101)}, {}, "price 21.01 is more than 5 % from the middle of 19.99 and"),
        ({"price": Ticks(1_899)}, {}, "price 18.99 is more than 5 %"),
        ({"price": Ticks(2_100)}, {}, None),
        ({"size": Lots(51)}, {}, "notional 102.000 is above max_order_notional 100"),
        ({}, {"position": 91}, "a position of 202.000 with all open orders is above"),
        ({}, {"open_buys": 91}, "a position of 202.000"),
        ({"side": Side.SELL}, {"position": -91}, "a position of 202.000"),
        ({"side": Side.SELL}, {"position": 91}, None),
        ({}, {"open_orders": 5}, "max_open_orders 5 are open"),
        ({}, {"lost_today": Fraction(50)}, "a loss of 50.00 today reached max_daily_loss 50"),
        ({"side": Side.SELL}, {"position": 10, "lost_today": Fraction(50)}, None),
        ({}, {"rate_budget": 0.5}, "the venue's budget of requests is used up"),
        ({"price": None}, {}, None),
        ({"price": None}, {"touch": replace(OLD, at=NOON, ask=None)}, "there is no book"),
    ],
)
def test_what_passes(order: dict[str, Any], account: dict[str, Any], reason: str | None) -> None:
    found = refusal(an_order(**order), an_account(**account), TIGHT)
    assert found is None if reason is None else (found or "").startswith(reason)


@pytest.mark.parametrize(
    ("side", "available", "reason"),
    [
        (Side.BUY, 20, None),
        (Side.BUY, Fraction(1999, 100), "20.000 USDC are needed, and 19.99 are free"),
        (Side.SELL, 1, None),
        (Side.SELL, Fraction(9, 10), "1.0 SOL are needed, and 0.9 are free"),
        (Side.BUY, None, None),  # not known: the venue judges
    ],
)
def test_a_spot_balance_has_to_cover_it(
    side: Side, available: Fraction | None, reason: str | None
) -> None:
    account = an_account(MarketKind.SPOT, available=available)
    assert refusal(an_order(side=side), account, TIGHT) == reason


def test_a_market_that_is_closed() -> None:
    account = an_account()
    closed = replace(account, market=replace(account.market, is_open=False))
    assert refusal(an_order(), closed, TIGHT) == "SOL_USDC is not open for orders"


@given(st.integers(-300, 300), st.integers(1, 300), st.sampled_from(Side), st.integers(0, 99))
def test_a_throttled_account_never_grows_a_position(
    position: int, size: int, side: Side, bound: int
) -> None:
    order = an_order(side=side, size=Lots(size))
    name = "open_buys" if side is Side.BUY else "open_sells"
    account = an_account(state=SLOW, position=Lots(position), **{name: Lots(bound)})
    if refusal(order, account, Limits()) is None:
        after = position + side.sign * (size + bound)
        assert abs(after) < abs(position)
        assert after * position >= 0
