"""The PaymentRegistry's claims for this origin. Pure."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.bridge.registry_abi import V1, V2, RegistryAbi
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call

CLAIMS = {
    V1.name: Function("claimPaymentZKSync", ("uint256",) * 5),
    V2.name: Function("claimPaymentZKSync", ("uint256", "address", *("uint256",) * 3)),
}

# Of ABI v2. Source: the deployed registry.
CLAIM_BATCH = Function(
    "claimPaymentBatchZKSync", ("uint256[]", "address[]", "uint256[]", "uint256", "uint256")
)
BATCH_SELECTOR = Function("ZKSyncEscrowClaimPaymentBatchSelector", (), ("bytes4",))

# Under which number it keeps our transfers, of ABI v2. Source: the deployed registry's variables.
CHAIN_ID = Function("ZKSyncChainId", (), ("uint128",))


def claim(
    registry: Address,
    abi: RegistryAbi,
    order: Order,
    *,
    gas_limit: Gas,
    gas_per_pubdata: int,
    value: Wei,
) -> Call:
    """Build the call that asks the escrow for our money; `value` is the base cost, in wei."""
    data = CLAIMS[abi.name].encode(
        order.number, abi.recipient(order), order.amount, gas_limit, gas_per_pubdata
    )
    return Call(to=registry, data=data, value=value)


def claim_batch(
    registry: Address, orders: Sequence[Order], *, gas_limit: Gas, gas_per_pubdata: int, value: Wei
) -> Call:
    """Build the one call that asks the escrow for the money of several orders, of ABI v2."""
    numbers, recipients = [o.number for o in orders], [o.recipient for o in orders]
    amounts = [o.amount for o in orders]
    data = CLAIM_BATCH.encode(numbers, recipients, amounts, gas_limit, gas_per_pubdata)
    return Call(to=registry, data=data, value=value)
