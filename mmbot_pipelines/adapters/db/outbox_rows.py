"""Rows of the outbox and `Transaction`, one made of the other. Pure."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Text, case, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from mmbot_pipelines.adapters.db.tables.outbox import transaction_parts, transactions
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Part, Receipt, Transaction, TxState

_AT_ONCE = datetime.fromtimestamp(0, UTC)
_part = transaction_parts.c
_BATCH = (
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_array(
                    _part.subject,
                    _part.purpose,
                    _part.attempt,
                    cast(_part.value, Text),
                    _part.failed,
                ),
                _part.position,
            )
        )
    )
    .where(_part.transaction_id == transactions.c.id)
    .correlate(transactions)
    .scalar_subquery()
)
# All that `transaction_of` reads.
STORED = select(transactions, case((transactions.c.parts > 0, _BATCH)).label("batch"))


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
        block=block_of(row.block_number, row.block_hash),
        gas_used=row.gas_used,
        gas_price=row.gas_price,
        refund=row.refund,
        batch=tuple(
            Part(
                subject=subject,
                purpose=purpose,
                attempt=attempt,
                value=Wei(int(value)),
                failed=failed,
            )
            for subject, purpose, attempt, value, failed in row.batch or ()
        ),
    )


def part_values(transaction_id: int, transaction: Transaction) -> list[dict[str, object]]:
    """Write what a transaction does for each whom it serves as rows of `transaction_parts`."""
    return [
        {
            "transaction_id": transaction_id,
            "position": position,
            "subject": part.subject,
            "purpose": part.purpose,
            "attempt": part.attempt,
            "value": part.value,
        }
        for position, part in enumerate(transaction.batch)
    ]


def transaction_values(transaction: Transaction) -> dict[str, object]:
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
        "parts": len(transaction.batch),
    }


def receipt_values(receipt: Receipt | None) -> dict[str, object]:
    """Return a receipt's columns of `transactions`; None: not mined."""
    return {
        "block_number": receipt and receipt.block.number,
        "block_hash": receipt and receipt.block.hash,
        "gas_used": receipt and receipt.gas_used,
        "gas_price": receipt and receipt.gas_price,
        "refund": None,
        "refund_due_at": _AT_ONCE,
    }


def block_of(number: int | None, block_hash: str | None) -> Block | None:
    """Read a block from its two columns."""
    return None if number is None or block_hash is None else Block(number, block_hash)
