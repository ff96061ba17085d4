"""Positions by their fills: quantity, cost and profit add up exactly."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.exchange.market import Lots, Side
from mmbot_pipelines.core.exchange.position import Position


def after(*fills: tuple[Side, int, str]) -> Position:
    position = Position()
    for side, size, quote in fills:
        position = position.after(side, Lots(size), Decimal(quote))
    return position


def test_the_average_of_two_buys() -> None:
    position = after((Side.BUY, 1, "10"), (Side.BUY, 2, "26"))
    assert (position.quantity, position.average_cost, position.realized) == (3, 12, 0)


def test_a_sale_realizes_against_the_average() -> None:
    position = after((Side.BUY, 3, "10"), (Side.SELL, 1, "5"))
    assert position.average_cost == Fraction(10, 3)
    assert position.realized == Fraction(5, 3)


def test_a_fill_beyond_the_position_opens_the_other_side() -> None:
    position = after((Side.BUY, 2, "20"), (Side.SELL, 5, "60"))
    assert (position.quantity, position.average_cost, position.realized) == (-3, 12, 4)
    assert after((Side.SELL, 2, "24"), (Side.BUY, 2, "20")) == Position(realized=Fraction(4))


def test_flat_has_no_average() -> None:
    assert Position().average_cost is None


def test_profit_at_a_price() -> None:
    assert after((Side.BUY, 2, "20")).profit_at(Decimal(30)) == 10
    assert after((Side.SELL, 2, "20")).profit_at(Decimal(-30)) == -10


_FILLS = st.tuples(
    st.sampled_from(Side), st.integers(1, 10**12), st.decimals(0, 10**12, places=6).map(str)
)


@given(st.lists(_FILLS, max_size=12))
def test_profit_is_what_came_in_less_what_went_out(fills: list[tuple[Side, int, str]]) -> None:
    position = after(*fills)
    cash = sum((-side.sign * Fraction(quote) for side, _, quote in fills), Fraction(0))
    assert position.quantity == sum(side.sign * size for side, size, _ in fills)
    assert position.realized - position.cost == cash
    if position.quantity == 0:
        assert position.cost == 0
