"""What the commands about orders print for programs. Pure."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.outbox import Transaction

# JSON numbers lose digits from 2^53 on in most readers, so amounts are text.


def order_as_json(order: Order) -> dict[str, object]:
    """Return an order's row, amounts in wei."""
    at = order.next_attempt_at
    return {
        "key": order.key,
        "origin": order.origin,
        "status": order.status,
        "failed": order.failed,
        "parked": order.is_parked,
        "attempt": order.attempt,
        "failures": order.failures,
        "next_attempt_at": at.isoformat() if at else None,
        "reason": order.reason,
        "recipient": order.recipient,
        "amount_wei": str(order.amount),
        "fee_wei": str(order.fee),
        "changed_at": order.changed_at.isoformat(),
        "set_order_tx": order.set_order_tx,
        "transfer_tx": order.transfer_tx,
        "claim_tx": order.claim_tx,
        "claim_ref": order.claim_ref,
        "settle_tx": order.settle_tx,
        "claim_refund_wei": None if order.claim_refund is None else str(order.claim_refund),
    }


def history_as_json(
    order: Order, store: BridgeStore, invokes: Sequence[Invoke]
) -> dict[str, object]:
    """Return an order's row with its states, transactions and errors, oldest first."""
    return order_as_json(order) | {
        "history": [
            {
                "at": entry.at.isoformat(),
                "before": entry.before,
                "after": entry.after,
                "run_id": entry.run_id,
                "tx": entry.tx,
                "reason": entry.reason,
            }
            for entry in store.orders.history(order.key)
        ],
        "transactions": [_transaction(row) for row in store.outbox.of(order.key)],
        "l2_transactions": [
            {
                "at": row.stored_at.isoformat(),
                "hash": row.hash,
                "nonce": row.nonce,
                "replacement": row.bump,
                "state": row.state,
                "fee_fri": None if row.fee is None else str(row.fee),
            }
            for row in invokes
        ],
        "errors": [
            {
                "at": entry.at.isoformat(),
                "run_id": entry.run_id,
                "step": entry.fault.step,
                "kind": entry.fault.kind,
                "message": entry.fault.message,
            }
            for entry in store.errors.of(order.key)
        ],
    }


def _transaction(row: Transaction) -> dict[str, object]:
    cost = None
    if row.gas_used is not None and row.gas_price is not None:
        cost = str(row.gas_used * row.gas_price)
    return {
        "at": row.stored_at.isoformat(),
        "purpose": row.purpose,
        "hash": row.hash,
        "wallet": row.wallet,
        "nonce": row.nonce,
        "replacement": row.bump,
        "state": row.state,
        "block": row.block.number if row.block else None,
        "value_wei": str(row.call.value),
        "gas_cost_wei": cost,  # of the whole transaction, which may serve other orders too
        "orders": [part.subject for part in row.parts],
    }
