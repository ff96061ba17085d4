"""What is to be done about a stuck claim: pay more for it, take it back, or wait.

It is cancelled for those that wait behind it, where it costs more than it brings, or where
what it claims from refuses it. Where its price cannot be read it
is waited for, but not for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending.batches import MAX_CALL_GAS
from mmbot_pipelines.bridge.stuck.batch import batches_now
from mmbot_pipelines.bridge.stuck.blocked_nonce import (
    FeeQuotes,
    Replacement,
    StuckNonce,
    gas_of,
    signed_gas,
)
from mmbot_pipelines.core.delegation import BatchedCall
from mmbot_pipelines.core.errors import (
    Failure,
    NotServed,
    RpcRefused,
    SimulationReverted,
    TryAgain,
)
from mmbot_pipelines.core.money import Gas, format_ether, shares
from mmbot_pipelines.core.outbox import Call, Fees, Part, Transaction

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
    replacement = _affordable_batch(bridge, stuck_nonce, quotes)
    if isinstance(replacement, Replacement):
        return replacement
    if stuck_nonce.newest.batch and stuck_nonce.old and not replacement.outage:
        # Mined as it is, it would take all its orders down: they go alone, or in another batch.
        return quotes.cancelling(stuck_nonce, f"cancelled, {replacement.why}")
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


def _affordable_batch(
    bridge: Bridge, stuck_nonce: StuckNonce, quotes: FeeQuotes
) -> Replacement | _Against:
    """Return `_affordable` without the orders that a batch must not name any more.

    Those that do not wait for it, and those that the escrow would not pay.
    """
    orders = stuck_nonce.waiting
    try:
        payable = _payable(bridge, orders) if stuck_nonce.newest.batch else orders
    except Failure as e:
        return _refused(orders, e)
    if not payable:
        return _Against("none of its orders can be claimed now")
    if stuck_nonce.newest.is_self_call:
        return _affordable_calls(bridge, stuck_nonce, payable, quotes)
    return _affordable(bridge, stuck_nonce, payable, quotes)


def _affordable_calls(
    bridge: Bridge, stuck_nonce: StuckNonce, orders: Sequence[Order], quotes: FeeQuotes
) -> Replacement | _Against:
    """Return a batch of the claims that cost no more than they bring, at fees that help."""
    newest, owed = stuck_nonce.newest, sum(order.amount + order.fee for order in orders)
    fees = quotes.fees(stuck_nonce, owed // (signed_gas(newest) or 1))
    if fees is None:
        return _Against(f"they bring {format_ether(owed)}, less than they cost now")
    try:
        contract = batches_now(bridge)
        begun = bridge.origins[orders[0].origin].claims(orders, fees)
        calls = {o.key: c for o, c in zip(orders, begun, strict=True) if isinstance(c, Call)}
        foreseen = bridge.chain.simulate(list(calls.values()), fees) if calls else []
    except Failure as e:
        return _refused(orders, e)
    if contract is None:
        return _Against("the account makes no batches any more")
    gas = dict(zip(calls, (_gas_of_call(estimate) for estimate in foreseen), strict=True))
    kept = {
        order.key: BatchedCall(call=calls[order.key], gas=limit, may_fail=True)
        for order in orders
        if (limit := gas.get(order.key)) is not None
        and calls[order.key].value + limit * fees.ceiling <= order.amount + order.fee
    }
    if not kept:
        return _Against("none of its orders can be claimed now")
    parts = tuple(
        replace(part, value=kept[part.subject].call.value)
        for part in newest.batch
        if part.subject in kept
    )
    batched = [kept[part.subject] for part in parts]
    call = contract.batch(bridge.chain.wallet, batched)
    return quotes.paying(stuck_nonce, call, contract.gas(batched), fees, parts)


def _gas_of_call(estimate: Gas | Failure) -> Gas | None:
    """Return the limit of a claim in a batch; None: it would revert."""
    if isinstance(estimate, SimulationReverted):
        return None
    return MAX_CALL_GAS if isinstance(estimate, Failure) else min(estimate, MAX_CALL_GAS)


def _affordable(
    bridge: Bridge, stuck_nonce: StuckNonce, orders: Sequence[Order], quotes: FeeQuotes
) -> Replacement | _Against:
    """Return the claim at fees at which it costs no more than it brings, if there are such."""
    newest = stuck_nonce.newest
    owed = sum(order.amount + order.fee for order in orders)
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
            call = _call(bridge, orders, fees)
            (estimate,) = bridge.chain.simulate([call], fees)
        except Failure as e:
            return _refused(orders, e)
        if newest.batch and isinstance(estimate, SimulationReverted):
            return _Against(f"it would revert ({estimate})")
        gas = gas_of(newest, estimate)
        if gas is None:
            return _Against(f"its gas cannot be estimated ({estimate})", outage=True)
        if call.value + gas * fees.ceiling <= owed:
            return quotes.paying(stuck_nonce, call, gas, fees, _parts(newest, orders, call))
        max_fee_per_gas = (owed - call.value) // gas
    return unprofitable


def _payable(bridge: Bridge, orders: Sequence[Order]) -> list[Order]:
    """Return the orders of a batch that the escrow holds for us.

    Raises:
        TryAgain: it could not be asked about one of them.
    """
    checked = bridge.origins[orders[0].origin].check(orders)
    for fault in checked:
        if isinstance(fault, TryAgain):
            raise fault
    return [order for order, fault in zip(orders, checked, strict=True) if fault is None]


def _call(bridge: Bridge, orders: Sequence[Order], fees: Fees) -> Call:
    l2 = bridge.origins[orders[0].origin]
    (claim,) = l2.claim_batches([orders], fees) if len(orders) > 1 else l2.claims(orders, fees)
    if isinstance(claim, Failure):
        raise claim
    if not isinstance(claim, Call):
        raise NotServed(f"{l2.name} claims without a transaction now: {claim.ref}")
    return claim


def _parts(newest: Transaction, orders: Sequence[Order], call: Call) -> tuple[Part, ...]:
    """Return what a batch's replacement does for those that are left of it."""
    left = {order.key for order in orders}
    parts = [part for part in newest.batch if part.subject in left]
    values = shares(call.value, len(parts)) if parts else []
    return tuple(replace(p, value=value) for p, value in zip(parts, values, strict=True))


def _refused(orders: Sequence[Order], failure: Failure) -> _Against:
    text = f"{type(failure).__name__}: {failure}"
    if isinstance(failure, TryAgain | RpcRefused):
        return _Against(f"its price on {orders[0].origin} cannot be read ({text})", outage=True)
    return _Against(f"it cannot be claimed now ({text})")
