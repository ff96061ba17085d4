"""What is to be done about a stuck claim: pay more for it, take it back, or wait.

It is cancelled for those that wait behind it, where it costs more than it brings, or where
what it claims from refuses it. Where its price cannot be read it
is waited for, but not for ever.
"""

from dataclasses import dataclass

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.stuck.nonce import (
    FeeQuotes,
    Replacement,
    StuckNonce,
    gas_of,
    signed_gas,
)
from mmbot_pipelines.core.errors import Failure, NotServed, RpcRefused, TryAgain
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.outbox import Call, Fees

# Since it was signed last: at a price that was good then, and is again where it was bumped.
_OUTAGE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class _Against:
    """Why a claim is not sent again at other fees."""

    why: str
    outage: bool = False  # its price cannot be read now


def stuck_claim(
    bridge: Bridge, stuck_nonce: StuckNonce, quotes: FeeQuotes
) -> Replacement | str | None:
    """Return what takes a stuck claim's nonce, or why it waits."""
    (order,) = stuck_nonce.orders
    replacement = _affordable(bridge, stuck_nonce, order, quotes)
    if isinstance(replacement, Replacement):
        return replacement
    if not (stuck_nonce.first and stuck_nonce.old and stuck_nonce.awaited):
        return replacement.why if replacement.outage else None
    age = (bridge.clock() - stuck_nonce.newest.stored_at).total_seconds()
    if replacement.outage and age < _OUTAGE_SECONDS:
        return (
            f"{replacement.why}; it is cancelled after {_OUTAGE_SECONDS:g} s, signed {age:.0f} "
            f"s ago"
        )
    return quotes.cancelling(
        stuck_nonce, f"cancelled for those that wait behind it, {replacement.why}"
    )


def _affordable(
    bridge: Bridge, stuck_nonce: StuckNonce, order: Order, quotes: FeeQuotes
) -> Replacement | _Against:
    """Return the claim at fees at which it costs no more than it brings, if there are such."""
    newest, owed = stuck_nonce.newest, order.amount + order.fee
    unprofitable = _Against(
        f"it brings {format_ether(owed)}, less than it costs now: made again when prices fall"
    )
    gas = signed_gas(newest)
    max_fee_per_gas = owed // (gas or 1)
    for _ in range(2):  # what the message takes is known only once it is priced
        fees = quotes.fees(stuck_nonce, max_fee_per_gas)
        if fees is None:
            return unprofitable
        try:
            # The message is priced by the gas price that the claim is mined at.
            call = _call(bridge, order, fees)
            (estimate,) = bridge.chain.simulate([call], fees)
        except Failure as e:
            return _refused(order, e)
        gas = gas_of(newest, estimate)
        if gas is None:
            return _Against(f"its gas cannot be estimated ({estimate})", outage=True)
        if call.value + gas * fees.ceiling <= owed:
            return quotes.paying(stuck_nonce, call, gas, fees)
        max_fee_per_gas = (owed - call.value) // gas
    return unprofitable


def _call(bridge: Bridge, order: Order, fees: Fees) -> Call:
    (claim,) = bridge.origins[order.origin].claims([order], fees)
    if isinstance(claim, Failure):
        raise claim
    if not isinstance(claim, Call):
        raise NotServed(f"{order.origin} claims without a transaction now: {claim.ref}")
    return claim


def _refused(order: Order, failure: Failure) -> _Against:
    text = f"{type(failure).__name__}: {failure}"
    if isinstance(failure, TryAgain | RpcRefused):
        return _Against(f"its price on {order.origin} cannot be read ({text})", outage=True)
    return _Against(f"it cannot be claimed now ({text})")
