"""Claims that are stored with their transfers, at the nonce behind them. Reads chain and store."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claim_cost import ClaimCost, unprofitable
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending import gas_estimates
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.core.outbox import Call, Fees

# The gas limit of a claim that cannot be simulated yet, in what claims were seen to take. What
# is left of it costs nothing.
_CLAIM_GAS_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBehind:
    """The claim of an order whose transfer is not mined yet."""

    call: Call
    gas: Gas


def claims_behind(
    bridge: Bridge, origin: str, orders: Sequence[Order], fees: Fees
) -> dict[str, ClaimBehind]:
    """Return the claims to be stored behind their orders' transfers, by the orders' keys.

    No claim can be simulated before its transfer is mined. So while the origin's newest one
    reverted, and before there is any, claims follow when they can be, see `claim`.
    """
    l2 = bridge.origins[origin]
    by_transaction = bridge.rules.claim_with_transfer and l2.claim_gas > 0
    if not by_transaction or not bridge.accounts.last_claim_succeeded(origin):
        return {}
    gas = Gas(_CLAIM_GAS_FACTOR * gas_estimates.claim_gas(bridge, origin))
    try:
        begun = l2.claims(orders, fees)
    except Failure:
        return {}  # the transfer needs nothing of it: the claim is tried again when that is mined
    return {
        order.key: ClaimBehind(call=claim, gas=gas)
        for order, claim in zip(orders, begun, strict=True)
        if isinstance(claim, Call)
        and not unprofitable(order, ClaimCost(gas, claim.value).at(fees.expected))
    }
