"""What a claim costs: its gas on L1 and the price of its message, and whether it is worth it. Pure.

The gas is estimated by `gas_estimates` before the transfer is mined and simulated after it; the
message's price comes from the origin (`message_fee` in adapters/bridge). Money in integer wei.
"""

from dataclasses import dataclass

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Waits
from mmbot_pipelines.core.money import Gas, Wei, format_ether


class ClaimUnprofitable(Waits):
    """A claim's message and gas cost as much as the claim brings: prices must fall first."""

    reason = "waiting: its claim would cost what it brings"


@dataclass(frozen=True, slots=True)
class ClaimCost:
    """The two parts of what a claim costs."""

    gas: Gas  # the order's share of its claim transaction
    message: Wei  # L1 -> L2 message fee

    def at(self, gas_price: int) -> Wei:
        """Return the whole cost in wei; gas_price in wei per gas."""
        return Wei(self.gas * gas_price + self.message)


def unprofitable(order: Order, cost: Wei) -> ClaimUnprofitable | None:
    """Return why a claim that costs this much, in wei, is not sent now; None: it is worth it."""
    brings = order.amount + order.fee
    if cost < brings:
        return None
    return ClaimUnprofitable(
        f"its message and gas cost {format_ether(cost)} at the price of now, it brings "
        f"{format_ether(brings)}"
    )
