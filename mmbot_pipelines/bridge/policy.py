"""Whether an order is worth filling. Pure, in integer wei.

It decides only before money has moved: a paid order is claimed whatever the limits
are by then. What the order and the settings alone refuse is final, until a person retries it;
what depends on prices can become right by itself.
"""

from dataclasses import dataclass

from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, Gas, Wei, format_ether

_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator allows."""

    min_transfer: Wei
    max_transfer: Wei
    min_margin_bps: int  # of the amount, in hundredths of a percent
    ours: frozenset[Address] = frozenset()  # registry and wallet: nobody is served by paying them


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much may go out together, in wei; None: any amount."""

    exposure: Wei | None = None  # paid out and not yet repaid
    per_recipient: Wei | None = None  # within a day
    per_hour: Wei | None = None
    per_day: Wei | None = None
    throttled_transfers: int = 1  # of one run, while THROTTLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """When the paid orders of one origin are claimed together: at the first of these."""

    max_orders: int  # of one claim
    max_age_seconds: float  # since the first of them was paid
    max_exposure: Wei | None = None  # of their amounts

    def is_due(self, *, orders: int, age_seconds: float, amount: Wei) -> bool:
        """Return whether these orders wait for no others."""
        out = self.max_exposure is not None and amount >= self.max_exposure
        return orders >= self.max_orders or age_seconds >= self.max_age_seconds or out


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What filling one order takes out of the wallet for good, beside the amount itself."""

    transfer_gas: Gas
    claim: ClaimCost
    gas_price: Wei  # wei per gas, expected

    @property
    def total(self) -> Wei:
        """Return the whole cost in wei."""
        return Wei(self.transfer_gas * self.gas_price + self.claim.at(self.gas_price))


def refusal(order: Order, limits: Limits) -> str | None:
    """Return why the settings refuse the order at any price, or None.

    A recipient that cannot take money is no matter of policy: the simulation finds it. Nor
    is one whose money is lost there, such as a precompile: the escrow pays us all the same.
    """
    if int(order.recipient, 16) == 0:
        return "the recipient is the zero address, which the registry never pays"
    if order.recipient in limits.ours:
        return f"the recipient {order.recipient} is our own registry or wallet: nobody is served"
    if order.amount < limits.min_transfer or order.amount == 0:
        return (
            f"amount {format_ether(order.amount)} is below the minimum we transfer, "
            f"{format_ether(max(limits.min_transfer, 1))}"
        )
    if order.amount > limits.max_transfer:
        return (
            f"amount {format_ether(order.amount)} is above the maximum we transfer, "
            f"{format_ether(limits.max_transfer)}"
        )
    if order.fee < _margin(order, limits):
        return (
            f"fee {format_ether(order.fee)} is below the margin "
            f"{format_ether(_margin(order, limits))} "
            "that is wanted beside all costs"
        )
    return None


def shortfall(order: Order, limits: Limits, cost: Cost) -> str | None:
    """Return why the order is not worth filling at this cost, or None when it is."""
    margin = _margin(order, limits)
    if order.fee < cost.total + margin:
        return (
            f"fee {format_ether(order.fee)} is below the cost {format_ether(cost.total)} "
            f"plus the margin {format_ether(margin)}"
        )
    return None


def _margin(order: Order, limits: Limits) -> Wei:
    return Wei(-(-order.amount * limits.min_margin_bps // _BPS))
