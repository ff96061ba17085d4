"""The PaymentRegistry's functions for this origin: claims, and where they go. Pure."""

from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call

CLAIM = Function("claimPayment", ("uint256",) * 3)

# Source: the deployed PaymentRegistry's public variables.
ESCROW = Function("StarknetEscrowAddress", (), ("uint256",))
SELECTOR = Function("StarknetEscrowClaimPaymentSelector", (), ("uint256",))


def claim(registry: Address, order: Order, *, value: Wei) -> Call:
    """Build the call that asks the escrow for our money; `value` is the message fee, in wei."""
    data = CLAIM.encode(order.number, int(order.recipient, 16), order.amount)
    return Call(to=registry, data=data, value=value)
