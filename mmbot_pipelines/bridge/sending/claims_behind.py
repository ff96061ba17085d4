"""Claims that are stored with their transfers. Reads chain and store.

Each is a transaction at the nonce behind its transfer's, or the next call of the same batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

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

# For how long claims go alone after a batch of them that came to nothing: what is wrong may be
# wrong with every batch, and each would cost its gas or its message.
BATCH_PAUSE = timedelta(hours=1)


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
    reverted, before there is any, and for a while after one failed in a batch, claims follow
    when they can be, see `claim`.
    """
    l2 = bridge.origins[origin]
    by_transaction = bridge.rules.claim_with_transfer and l2.claim_gas > 0
    if not by_transaction or not bridge.accounts.last_claim_succeeded(origin):
        return {}
    since = bridge.clock() - BATCH_PAUSE
    if bridge.batch_contract is not None and bridge.accounts.batch_failed(origin, since=since):
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
