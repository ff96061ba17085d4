"""A market's grid of prices and sizes, and the exact way onto it and back. Pure.

Outside, prices and sizes are decimals (`Decimal`, never float); inside, whole ticks and lots, so
that sums and comparisons are exact however many digits a venue sends.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum
from typing import NewType

from mmbot_pipelines.core.errors import InvalidSettings, Malformed
from mmbot_pipelines.core.text import cleaned

Ticks = NewType("Ticks", int)  # a price in units of the market's tick size
Lots = NewType("Lots", int)  # a quantity in units of the market's lot size
NO_LOTS = Lots(0)

# Amounts of venues have at most the digits of a uint256, so that no product of two is rounded.
_AMOUNT = re.compile(r"-?[0-9]{1,80}(\.[0-9]{1,80})?([eE][+-]?[0-9]{1,2})?")
_EXACT = Context(prec=1_000, traps=[Inexact, InvalidOperation])


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return what a fill of this side adds to a position: 1 or -1."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class MarketKind(StrEnum):
    SPOT = "SPOT"
    PERPETUAL = "PERPETUAL"


class OffGrid(ValueError):
    """A price or size that no order of this market can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One order book of a venue, and what its orders have to keep to."""

    symbol: str  # the venue's own name
    base: str
    quote: str
    kind: MarketKind
    tick_size: Decimal  # quote units of one base unit
    lot_size: Decimal  # base units
    min_size: Decimal  # base units
    max_size: Decimal | None = None
    min_notional: Decimal = Decimal(0)  # quote units
    is_open: bool = True

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size"):
            size: Decimal = getattr(self, name)
            if not (size.is_finite() and size > 0):
                raise InvalidSettings(f"{self.symbol}: {name} is {size}: it has to be above 0")

    @property
    def price_decimals(self) -> int:
        """Return how many digits after the point a price has at most."""
        return _decimals(self.tick_size)

    @property
    def size_decimals(self) -> int:
        """Return how many digits after the point a size has at most."""
        return _decimals(self.lot_size)

    def ticks(self, price: Decimal) -> Ticks:
        """Return a price in ticks.

        Raises: OffGrid where it is between two ticks.
        """
        return Ticks(self._units(price, self.tick_size, "price"))

    def lots(self, size: Decimal) -> Lots:
        """Return a size in lots.

        Raises: OffGrid where it is between two lots.
        """
        return Lots(self._units(size, self.lot_size, "size"))

    def price(self, ticks: Ticks) -> Decimal:
        """Return the price of so many ticks, with the digits of the tick size."""
        return _EXACT.multiply(Decimal(ticks), self.tick_size)

    def size(self, lots: Lots) -> Decimal:
        """Return the size of so many lots, with the digits of the lot size."""
        return _EXACT.multiply(Decimal(lots), self.lot_size)

    def cost(self, price: Decimal, lots: Lots) -> Decimal:
        """Return what so many lots cost in quote units; a trade's price may be off the grid."""
        return _EXACT.multiply(price, self.size(lots))

    def notional(self, ticks: Ticks, lots: Lots) -> Decimal:
        """Return what an order of so many lots is worth at its price, in quote units."""
        return self.cost(self.price(ticks), lots)

    def ticks_within(self, price: Decimal, side: Side) -> Ticks:
        """Return the nearest tick that is no worse for us: down for a buy, up for a sell."""
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        return Ticks(_rounded(price, self.tick_size, rounding))

    def lots_within(self, size: Decimal) -> Lots:
        """Return the lots that a size has room for."""
        return Lots(_rounded(size, self.lot_size, ROUND_FLOOR))

    def smallest_order(self, ticks: Ticks) -> Lots:
        """Return the fewest lots that the market takes at a price: its least size and notional."""
        by_size = _rounded(self.min_size, self.lot_size, ROUND_CEILING)
        by_notional = _rounded(self.min_notional, self.notional(ticks, Lots(1)), ROUND_CEILING)
        return Lots(max(1, by_size, by_notional))

    def refusal(self, ticks: Ticks, lots: Lots) -> str | None:
        """Return why the market takes no order of this price and size, or None.

        A market order has the price at which its worst fill is expected.
        """
        size = self.size(lots)
        if not self.is_open:
            return f"{self.symbol} is not open for orders"
        if ticks < 1:
            return f"price {self.price(ticks)} is not above 0"
        if lots < 1 or size < self.min_size:
            return f"size {size} is below the market's least size {self.min_size}"
        if self.max_size is not None and size > self.max_size:
            return f"size {size} is above the market's largest size {self.max_size}"
        notional = self.notional(ticks, lots)
        if notional < self.min_notional:
            return f"notional {notional} is below the market's least {self.min_notional}"
        return None

    def _units(self, value: Decimal, unit: Decimal, what: str) -> int:
        try:
            units, rest = _EXACT.divmod(value, unit)
        except (Inexact, InvalidOperation):
            rest = Decimal("NaN")
        if rest != 0:
            raise OffGrid(f"{self.symbol}: {what} {value} is not a multiple of {unit}")
        return int(units)


def parse_amount(value: object) -> Decimal:
    """Return a price or size of a venue's message: a decimal in text, or a whole number.

    Raises: Malformed for everything else. A float is refused: it has lost digits already.
    """
    is_text = isinstance(value, str) or type(value) is int
    if is_text and _AMOUNT.fullmatch(text := str(value)):
        return Decimal(text)
    raise Malformed(f"not an amount: {cleaned(value)}")


def exact_sum(left: Decimal, right: Decimal) -> Decimal:
    """Return the sum of two amounts, with all their digits: Decimal's own `+` keeps 28."""
    return _EXACT.add(left, right)


def _rounded(value: Decimal, unit: Decimal, rounding: str) -> int:
    whole, rest = _EXACT.divmod(value, unit)
    return int(whole) + (rest > 0 and rounding == ROUND_CEILING)


def _decimals(unit: Decimal) -> int:
    return len(f"{unit.normalize():f}".partition(".")[2])
