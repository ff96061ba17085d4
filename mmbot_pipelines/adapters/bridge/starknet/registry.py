"""The PaymentRegistry's functions for this origin: claims, and where they go. Pure."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.bridge.registry_abi import V1, V2, RegistryAbi
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call

CLAIMS = {
    V1.name: Function("claimPayment", ("uint256",) * 3),
    V2.name: Function("claimPaymentStarknet", ("uint256", "address", "uint256")),
}

CLAIM_BATCH = Function("claimPaymentBatchStarknet", ("uint256[]", "address[]", "uint256[]"))

# Source: the deployed PaymentRegistry's public variables.
ESCROW = Function("StarknetEscrowAddress", (), ("uint256",))
SELECTOR = Function("StarknetEscrowClaimPaymentSelector", (), ("uint256",))
BATCH_SELECTOR = Function("StarknetEscrowClaimPaymentBatchSelector", (), ("uint256",))  # of ABI v2
CHAIN_ID = Function("StarknetChainId", (), ("uint128",))  # of ABI v2


def claim(registry: Address, abi: RegistryAbi, order: Order, *, value: Wei) -> Call:
    """Build the call that asks the escrow for our money; `value` is the message fee, in wei."""
    data = CLAIMS[abi.name].encode(order.number, abi.recipient(order), order.amount)
    return Call(to=registry, data=data, value=value)


def claim_batch(registry: Address, orders: Sequence[Order], *, value: Wei) -> Call:
    """Build the one call that asks the escrow for the money of several orders, of ABI v2."""
    numbers, recipients = [o.number for o in orders], [o.recipient for o in orders]
    data = CLAIM_BATCH.encode(numbers, recipients, [o.amount for o in orders])
    return Call(to=registry, data=data, value=value)
