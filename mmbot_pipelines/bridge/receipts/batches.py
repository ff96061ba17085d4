"""What a mined batch of our own account did for each order (EIP-7702). Reads the chain.

Its success says nothing: without its code the account does nothing with the call, and that
succeeds too. So an order counts as paid only by the registry's event of it, in the same receipt,
and as claimed only by the event of its message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import BatchFailed, did_nothing
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.bridge.ports.chains import Payment
from mmbot_pipelines.bridge.reverts import is_not_taken, market_maker_refusal
from mmbot_pipelines.bridge.sending.batches import MAX_CALL_GAS
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure, RecipientRefused, Reverted, RpcUnavailable
from mmbot_pipelines.core.outbox import Event, Outcome, Part, Transaction, TxState

_NO_CALL = "no call that it made did anything: is the account delegated (mmbot delegation)?"


def with_failed_parts(bridge: Bridge, outcome: Outcome, orders: Mapping[str, Order]) -> Outcome:
    """Return an outcome whose transaction says which of its parts did nothing.

    orders: those that its parts are for, by key.
    """
    row, receipt = outcome.transaction, outcome.receipt
    if outcome.state is not TxState.MINED or receipt is None or not row.is_self_call:
        return outcome
    done = {
        TRANSFER: _paid(bridge, receipt.events, _orders(row, TRANSFER, orders)),
        REPAY: _claimed(bridge, receipt.events, _orders(row, REPAY, orders)),
    }

    def is_failed(part: Part) -> bool:
        return part.subject in orders and part.subject not in done[part.purpose]

    judged = replace(row, batch=tuple(replace(p, failed=is_failed(p)) for p in row.batch))
    return replace(outcome, transaction=judged, reason=_NO_CALL if did_nothing(judged) else "")


def _orders(row: Transaction, purpose: str, orders: Mapping[str, Order]) -> list[Order]:
    keys = [part.subject for part in row.batch if part.purpose == purpose]
    return [orders[key] for key in keys if key in orders]


def _paid(bridge: Bridge, events: Sequence[Event], orders: Sequence[Order]) -> set[str]:
    """Return the keys of the orders whose numbers are paid."""
    seen = bridge.registry.payments(events, orders)
    return {o.key for o, payment in zip(orders, seen, strict=True) if payment is not Payment.NONE}


def _claimed(bridge: Bridge, events: Sequence[Event], orders: Sequence[Order]) -> set[str]:
    """Return the keys of the orders that are claimed.

    Of an origin that is not served any more nobody knows; what did not arrive is noticed when it
    is served again.
    """
    claimed = {order.key for order in orders if order.origin not in bridge.origins}
    for origin in {order.origin for order in orders} & set(bridge.origins):
        own = [order for order in orders if order.origin == origin]
        seen = bridge.origins[origin].claimed_in(events, own)
        claimed |= {order.key for order, is_claimed in zip(own, seen, strict=True) if is_claimed}
    return claimed


def claim_in_batch(order: Order, outcome: Outcome) -> Part | None:
    """Return what a mined batch of transfers did about an order's claim; None: nothing is known."""
    row = outcome.transaction
    if outcome.state is not TxState.MINED or row.purpose != TRANSFER:
        return None
    claims = (p for p in row.batch if (p.subject, p.purpose) == (order.key, REPAY))
    return next(claims, None)


def claim_part_failure(order: Order, outcome: Outcome) -> BatchFailed:
    """Return that a mined batch has not claimed an order; why, its next claim alone shows."""
    return BatchFailed(f"{outcome.transaction.hash} did not claim {order.key}: it is claimed alone")


def claims_fault(outcome: Outcome) -> Fault | None:
    """Return the one error of claims that failed behind transfers of the same batch that paid."""
    mined = outcome.transaction
    paid = {p.subject for p in mined.batch if p.purpose == TRANSFER and not p.failed}
    failed = [p.subject for p in mined.batch if p.purpose == REPAY and p.failed]
    lost = [key for key in failed if key in paid]
    if not lost:
        return None
    message = f"{mined.hash} paid them, but has not claimed {', '.join(lost)}"
    return Fault(subject=mined.subject, step=REPAY, kind=Reverted.__name__, message=message)


def pays_other_order(bridge: Bridge, order: Order, outcome: Outcome) -> bool:
    """Return whether a batch has paid what an order's number stood for before."""
    events = outcome.receipt.events if outcome.receipt else ()
    return bridge.registry.payments(events, [order]) == [Payment.OTHER]


def part_failure(bridge: Bridge, order: Order, outcome: Outcome) -> Failure:
    """Return why a mined batch did not do for an order what it is for.

    A transfer alone is replayed; what no replay shows goes alone next time, as a claim does.

    Raises:
        RpcUnavailable: no node answered.
    """
    row = outcome.transaction
    if did_nothing(row):
        return BatchFailed(f"{row.hash}, shared with {len(row.batch) - 1} others: {_NO_CALL}")
    if row.purpose == REPAY:
        return claim_part_failure(order, outcome)
    call = bridge.registry.transfer(order)
    reason = bridge.chain.revert_reason(replace(row, call=call, gas=MAX_CALL_GAS, batch=()))
    if is_not_taken(reason):
        return RecipientRefused(
            f"{row.hash} paid the others of its batch, but not {order.recipient}, by the "
            f"recipient's own doing ({reason}): it is not tried again by itself; run `mmbot retry "
            f"{order.key}` once the recipient takes ETH"
        )
    try:
        refused = market_maker_refusal(bridge, reason)
    except RpcUnavailable:
        raise
    except Failure:
        refused = None
    return refused or BatchFailed(f"{row.hash} paid others, but not this order: {reason}")
