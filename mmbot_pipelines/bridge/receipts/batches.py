"""What a mined batch of our own account did for each order (EIP-7702). Reads the chain.

Its success says nothing: without its code the account does nothing with the call, and that
succeeds too. So an order counts as paid only by the registry's event of it, in the same receipt.
"""

from collections.abc import Mapping
from dataclasses import replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import BatchFailed, did_nothing
from mmbot_pipelines.bridge.ports.chains import Payment
from mmbot_pipelines.bridge.reverts import is_not_taken, market_maker_refusal
from mmbot_pipelines.bridge.sending.batches import MAX_CALL_GAS
from mmbot_pipelines.core.errors import Failure, RecipientRefused, RpcUnavailable
from mmbot_pipelines.core.outbox import Outcome, Part, TxState

_NO_CALL = "the account made no call that paid anybody: is it still delegated (mmbot delegation)?"


def with_failed_parts(bridge: Bridge, outcome: Outcome, orders: Mapping[str, Order]) -> Outcome:
    """Return an outcome whose transaction says which of its parts did nothing.

    orders: those that its parts are for, by key.
    """
    row, receipt = outcome.transaction, outcome.receipt
    if outcome.state is not TxState.MINED or receipt is None or not row.is_self_call:
        return outcome
    served = [orders[part.subject] for part in row.batch if part.subject in orders]
    seen = bridge.registry.payments(receipt.events, served)
    paid = {o.key for o, payment in zip(served, seen, strict=True) if payment is not Payment.NONE}

    def is_failed(part: Part) -> bool:
        return part.subject in orders and part.subject not in paid

    judged = replace(row, batch=tuple(replace(p, failed=is_failed(p)) for p in row.batch))
    return replace(outcome, transaction=judged, reason=_NO_CALL if did_nothing(judged) else "")


def pays_other_order(bridge: Bridge, order: Order, outcome: Outcome) -> bool:
    """Return whether a batch has paid what an order's number stood for before."""
    events = outcome.receipt.events if outcome.receipt else ()
    return bridge.registry.payments(events, [order]) == [Payment.OTHER]


def part_failure(bridge: Bridge, order: Order, outcome: Outcome) -> Failure:
    """Return why a mined batch did not pay an order.

    Its call alone is replayed; what no replay shows goes alone next time.

    Raises:
        RpcUnavailable: no node answered.
    """
    row = outcome.transaction
    if did_nothing(row):
        return BatchFailed(f"{row.hash}, shared with {len(row.batch) - 1} others: {_NO_CALL}")
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
