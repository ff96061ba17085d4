"""What an account holds of one market, by its fills alone: quantity, cost and profit. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mmbot_pipelines.core.exchange.market import NO_LOTS, Lots, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A signed quantity and what it cost on average; below 0 is short.

    Exact: an average price may be a third of a tick, and is rounded only where it is shown.
    """

    quantity: Lots = NO_LOTS
    cost: Fraction = Fraction(0)  # what the open quantity cost, in quote units; below 0 when short
    realized: Fraction = Fraction(0)  # profit of what was closed, without fees, in quote units

    @property
    def average_cost(self) -> Fraction | None:
        """Return the quote units paid for one open lot, or None when flat."""
        return self.cost / self.quantity if self.quantity else None

    def after(self, side: Side, size: Lots, quote: Decimal) -> "Position":
        """Return the position after a fill of so many lots for `quote` quote units in all.

        What closes an open quantity realizes profit; what goes beyond it opens the other side.
        """
        change, paid = side.sign * size, side.sign * Fraction(quote)
        if self.quantity * change >= 0:
            return Position(
                quantity=Lots(self.quantity + change), cost=self.cost + paid, realized=self.realized
            )
        closed = min(size, abs(self.quantity))
        cost_closed = self.cost * closed / abs(self.quantity)
        paid_to_close = paid * closed / size
        return Position(
            quantity=Lots(self.quantity + change),
            cost=self.cost - cost_closed + (paid - paid_to_close),
            realized=self.realized - cost_closed - paid_to_close,
        )

    def profit_at(self, value: Decimal) -> Fraction:
        """Return profit realized and open, in quote units.

        value: what the open quantity is worth at the present price; below 0 when short.
        """
        return self.realized + Fraction(value) - self.cost
