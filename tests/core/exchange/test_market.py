"""The grid of prices and sizes: exact both ways, however many digits."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import InvalidSettings, Malformed
from mmbot_pipelines.core.exchange.market import Lots, OffGrid, Side, Ticks, parse_amount
from tests.core.exchange.orders import a_market

LONG = "123456789012345678901234567.891"  # 30 digits, more than a Decimal's default context has


@given(st.integers(0, 10**30), st.sampled_from(["0.001", "0.5", "25", "1E-8", "3"]))
def test_a_grid_is_exact_both_ways(count: int, unit: str) -> None:
    market = a_market(tick_size=Decimal(unit), lot_size=Decimal(unit))
    assert market.ticks(market.price(Ticks(count))) == count
    assert market.lots(market.size(Lots(count))) == count


def test_thirty_digits_are_kept() -> None:
    market = a_market(lot_size=Decimal("0.001"))
    assert market.lots(parse_amount(LONG)) == 123456789012345678901234567891
    assert str(market.size(Lots(123456789012345678901234567891))) == LONG


@pytest.mark.parametrize("price", ["20.005", "0.001", "1E-90"])
def test_a_price_between_two_ticks_is_refused(price: str) -> None:
    with pytest.raises(OffGrid, match=r"SOL_USDC: price .* is not a multiple of 0.01"):
        a_market().ticks(Decimal(price))


def test_a_price_is_rounded_to_no_worse() -> None:
    market = a_market()
    assert market.ticks_within(Decimal("20.019"), Side.BUY) == 2001
    assert market.ticks_within(Decimal("20.011"), Side.SELL) == 2002
    assert market.ticks_within(Decimal("20.01"), Side.SELL) == 2001
    assert market.lots_within(Decimal("0.39")) == 3


def test_digits_come_from_the_grid() -> None:
    market = a_market(tick_size=Decimal("0.0500"), lot_size=Decimal("1E+1"))
    assert (market.price_decimals, market.size_decimals) == (2, 0)


def test_the_smallest_order_reaches_the_least_notional() -> None:
    market = a_market(min_size=Decimal("0.25"), min_notional=Decimal("10"))
    assert market.smallest_order(Ticks(2_000)) == 5  # 0.5 SOL at 20.00
    assert market.smallest_order(Ticks(1_999)) == 6
    assert market.smallest_order(Ticks(100_000)) == 3  # the least size, on the grid


@pytest.mark.parametrize(
    ("price", "size", "reason"),
    [
        (2_000, 5, None),
        (2_000, 4, "notional 8.000 is below the market's least 10"),
        (0, 5, "price 0.00 is not above 0"),
        (2_000, 0, "size 0.0 is below the market's least size 0.2"),
        (2_000, 1, "size 0.1 is below the market's least size 0.2"),
        (2_000, 31, "size 3.1 is above the market's largest size 3"),
    ],
)
def test_what_a_market_takes(price: int, size: int, reason: str | None) -> None:
    market = a_market(min_size=Decimal("0.2"), max_size=Decimal(3), min_notional=Decimal(10))
    assert market.refusal(Ticks(price), Lots(size)) == reason


def test_a_closed_market_takes_nothing() -> None:
    assert a_market(is_open=False).refusal(Ticks(1), Lots(1)) == "SOL_USDC is not open for orders"


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.decimals(0, 1_000, places=3))
def test_the_smallest_order_is_taken_and_one_lot_less_is_not(
    price: int, min_lots: int, notional: Decimal
) -> None:
    market = a_market(min_size=Decimal(min_lots) / 10, min_notional=notional)
    fewest = market.smallest_order(Ticks(price))
    assert market.refusal(Ticks(price), fewest) is None
    assert market.refusal(Ticks(price), Lots(fewest - 1)) is not None


_DIGIT = "\u0661"  # Arabic


@pytest.mark.parametrize("value", ["", "1_0", " 1", "NaN", "Infinity", "1e999", "0x1", _DIGIT, 1.5])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(Malformed, match="not an amount"):
        parse_amount(value)


@pytest.mark.parametrize("value", [True, None, [], "9" * 81, "0." + "1" * 81])
def test_nor_is_what_is_no_text_or_too_long(value: object) -> None:
    with pytest.raises(Malformed):
        parse_amount(value)


@pytest.mark.parametrize(("value", "amount"), [("-0.10", "-0.10"), (5, "5"), ("1e-8", "1E-8")])
def test_an_amount_keeps_its_digits(value: object, amount: str) -> None:
    assert str(parse_amount(value)) == amount


@pytest.mark.parametrize("name", ["tick_size", "lot_size"])
@pytest.mark.parametrize("size", ["0", "-1", "NaN"])
def test_a_grid_has_to_be_above_zero(name: str, size: str) -> None:
    with pytest.raises(InvalidSettings, match=f"SOL_USDC: {name} is {size}"):
        a_market(**{name: Decimal(size)})


def test_sides() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
