"""What the bot would have decided about the orders of blocks long past. Reads chains, no store.

The same policy as in `fill`, at the base fee that L1 had when the L2 block was made. What a node
no longer has of that time is of now, and named in `APPROXIMATE`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Cost, Limits, refusal, shortfall
from mmbot_pipelines.bridge.ports.chains import Origin
from mmbot_pipelines.bridge.sending.gas_estimates import MEASURED_TRANSFER
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Fees

APPROXIMATE = (
    "the priority fee is the one of now",
    "messages are priced at the terms of now, for the gas price of then",
    f"a transfer takes {MEASURED_TRANSFER} gas, a claim what it was measured to take",
    "whether a recipient would have refused the money is unknown: nothing is simulated",
    "limits on exposure and amounts per hour, day and recipient are not applied",
)


class Decision(StrEnum):
    """What would have become of an order at once."""

    FILLED = "filled"
    WAITING = "waiting"  # its fee did not cover the cost at the prices of then
    DROPPED = "dropped"
    UNKNOWN = "unknown"  # no node has the prices of that time


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What would have been decided about one order."""

    order: Order
    decision: Decision
    reason: str | None = None
    base_fee: Wei | None = None  # per gas, of L1 when the order was set
    cost: Wei | None = None  # gas and message; None where it is unknown

    @property
    def profit(self) -> Wei:
        """Return what the order would have brought, in wei; 0 where it would not be filled."""
        if self.decision is not Decision.FILLED or self.cost is None:
            return Wei(0)
        return Wei(self.order.fee - self.cost)


# Prices of L1 and its base fee when a block of the L2 was made.
FeesThen = Callable[[int], tuple[Fees, Wei]]


def replay(
    origin: Origin, limits: Limits, fees_then: FeesThen, *, first: int, last: int
) -> Iterator[Replayed]:
    """Yield what would have been decided about each order of the origin's blocks `first` to `last`.

    Raises:
        Failure: the L2 cannot be read.
    """
    while first <= last:
        scan = origin.scan(first, last)
        for order in scan.orders:
            yield _replayed(origin, limits, fees_then, order)
        first = scan.last.number + 1


def _replayed(origin: Origin, limits: Limits, fees_then: FeesThen, order: Order) -> Replayed:
    if (why := refusal(order, limits)) is not None:
        return Replayed(order=order, decision=Decision.DROPPED, reason=why)
    try:
        fees, base_fee = fees_then(order.block.number)
        (message,) = origin.message_fee([order], fees)
    except Failure as e:
        why = f"{type(e).__name__}: {e}"
        return Replayed(order=order, decision=Decision.UNKNOWN, reason=why)
    cost = Cost(
        transfer_gas=MEASURED_TRANSFER,
        claim=ClaimCost(origin.claim_gas, message),
        gas_price=fees.expected,
    )
    why = shortfall(order, limits, cost)
    return Replayed(
        order=order,
        decision=Decision.FILLED if why is None else Decision.WAITING,
        reason=why,
        base_fee=base_fee,
        cost=cost.total,
    )
