"""Rows of the database as the bridge's own values, and back."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from mmbot_pipelines.bridge.journal import ErrorEntry, Fault, HistoryEntry
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.outbox import Block, Call, Fees, Receipt, Transaction, TxState

_AT_ONCE = datetime.fromtimestamp(0, UTC)

Values = dict[str, object]


def order_of(row: Row[Any]) -> Order:
    """Read a row of `orders`."""
    return Order(
        origin=row.origin,
        number=row.number,
        recipient=row.recipient,
        amount=row.amount,
        fee=row.fee,
        block=Block(row.block_number, row.block_hash),
        set_order_tx=row.set_order_tx,
        changed_at=row.changed_at,
        status=Status(row.status),
        attempt=row.attempt,
        failures=row.failures,
        lost_claims=row.lost_claims,
        failed=row.failed,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
        waiting_since=row.waiting_since,
        transfer_tx=row.transfer_tx,
        claim_tx=row.claim_tx,
        claim_ref=row.claim_ref,
        settle_tx=row.settle_tx,
        settle_block=_block(row.settle_block_number, row.settle_block_hash),
        settle_final=row.settle_final,
        claim_cost=row.claim_cost,
        claim_refund=row.claim_refund,
        searched_below=row.searched_below,
        version=row.version,
    )


def order_values(order: Order) -> Values:
    """Write an order as a new row of `orders`."""
    return {
        "origin": order.origin,
        "number": order.number,
        "recipient": order.recipient,
        "amount": order.amount,
        "fee": order.fee,
        "version": order.version,
        **step_values(order),
    }


def step_values(order: Order) -> Values:
    """Write the columns of an order that a step may change."""
    return {
        "block_number": order.block.number,
        "block_hash": order.block.hash,
        "set_order_tx": order.set_order_tx,
        "changed_at": order.changed_at,
        "status": order.status.value,
        "attempt": order.attempt,
        "failures": order.failures,
        "lost_claims": order.lost_claims,
        "failed": order.failed,
        "next_attempt_at": order.next_attempt_at,
        "reason": order.reason,
        "waiting_since": order.waiting_since,
        "transfer_tx": order.transfer_tx,
        "claim_tx": order.claim_tx,
        "claim_ref": order.claim_ref,
        "settle_tx": order.settle_tx,
        "settle_block_number": order.settle_block and order.settle_block.number,
        "settle_block_hash": order.settle_block and order.settle_block.hash,
        "settle_final": order.settle_final,
        "claim_cost": order.claim_cost,
        "claim_refund": order.claim_refund,
        "searched_below": order.searched_below,
    }


def transaction_of(row: Row[Any]) -> Transaction:
    """Read a row of `transactions`."""
    return Transaction(
        subject=row.subject,
        purpose=row.purpose,
        attempt=row.attempt,
        bump=row.bump,
        chain_id=row.chain_id,
        wallet=row.wallet,
        nonce=row.nonce,
        hash=row.hash,
        raw=row.raw,
        call=Call(to=row.call_to, data=row.call_data, value=row.call_value),
        gas=row.gas,
        fees=Fees(base=row.fee_base, priority=row.fee_priority, ceiling=row.fee_ceiling),
        stored_at=row.stored_at,
        state=TxState(row.state),
        block=_block(row.block_number, row.block_hash),
        gas_used=row.gas_used,
        gas_price=row.gas_price,
        refund=row.refund,
    )


def transaction_values(transaction: Transaction) -> Values:
    """Write a transaction as a new row of `transactions`."""
    block = transaction.block
    return {
        "subject": transaction.subject,
        "purpose": transaction.purpose,
        "attempt": transaction.attempt,
        "bump": transaction.bump,
        "chain_id": transaction.chain_id,
        "wallet": transaction.wallet,
        "nonce": transaction.nonce,
        "hash": transaction.hash,
        "raw": transaction.raw,
        "call_to": transaction.call.to,
        "call_data": transaction.call.data,
        "call_value": transaction.call.value,
        "gas": transaction.gas,
        "fee_base": transaction.fees.base,
        "fee_priority": transaction.fees.priority,
        "fee_ceiling": transaction.fees.ceiling,
        "stored_at": transaction.stored_at,
        "state": transaction.state.value,
        "block_number": block and block.number,
        "block_hash": block and block.hash,
        "gas_used": transaction.gas_used,
        "gas_price": transaction.gas_price,
        "refund": transaction.refund,
    }


def _block(number: int | None, block_hash: str | None) -> Block | None:
    return None if number is None or block_hash is None else Block(number, block_hash)


def receipt_values(receipt: Receipt | None) -> Values:
    """Write what a receipt says into a row of `transactions`; None: not mined."""
    return {
        "block_number": receipt and receipt.block.number,
        "block_hash": receipt and receipt.block.hash,
        "gas_used": receipt and receipt.gas_used,
        "gas_price": receipt and receipt.gas_price,
        "refund": None,
        "refund_due_at": _AT_ONCE,
    }


def history_of(row: Row[Any]) -> HistoryEntry:
    """Read a row of `order_events`."""
    return HistoryEntry(
        before=row.before and Status(row.before),
        after=Status(row.after),
        at=row.at,
        run_id=row.run_id,
        tx=row.tx,
        reason=row.reason,
    )


def error_of(row: Row[Any]) -> ErrorEntry:
    """Read a row of `errors`."""
    return ErrorEntry(
        fault=Fault(subject=row.subject, step=row.step, kind=row.kind, message=row.message),
        at=row.at,
        run_id=row.run_id,
    )
