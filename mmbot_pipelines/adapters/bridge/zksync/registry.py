"""The PaymentRegistry's claims for this origin. Pure."""

from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call

CLAIM = Function("claimPaymentZKSync", ("uint256",) * 5)


def claim(
    registry: Address, order: Order, *, gas_limit: Gas, gas_per_pubdata: int, value: Wei
) -> Call:
    """Build the call that asks the escrow for our money; `value` is the base cost, in wei."""
    data = CLAIM.encode(
        order.number, int(order.recipient, 16), order.amount, gas_limit, gas_per_pubdata
    )
    return Call(to=registry, data=data, value=value)
