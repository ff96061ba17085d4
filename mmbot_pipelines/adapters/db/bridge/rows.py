"""Rows of the database as the bridge's own values, and back."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from mmbot_pipelines.adapters.db.columns import storable
from mmbot_pipelines.adapters.db.outbox_rows import block_of
from mmbot_pipelines.bridge.orders.journal import HistoryEntry
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Collected
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Block

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
        settle_block=block_of(row.settle_block_number, row.settle_block_hash),
        settle_final=row.settle_final,
        claim_cost=row.claim_cost,
        claim_refund=row.claim_refund,
        searched_below=row.searched_below,
        version=row.version,
    )


def as_stored(order: Order, *, version: int) -> Order:
    """Return an order as it is read from its row, which holds no text that Postgres cannot."""
    reason, ref = order.reason and storable(order.reason), order.claim_ref
    return replace(order, version=version, reason=reason, claim_ref=ref and storable(ref))


def order_values(order: Order) -> Values:
    """Write an order as a row of `orders`."""
    return {
        "origin": order.origin,
        "number": order.number,
        "recipient": order.recipient,
        "amount": order.amount,
        "fee": order.fee,
        "version": order.version,
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


def history_values(key: str, entry: HistoryEntry) -> Values:
    """Write a change of an order as a new row of `order_events`."""
    return {
        "key": key,
        "before": entry.before and entry.before.value,
        "after": entry.after.value,
        "at": entry.at,
        "run_id": entry.run_id,
        "tx": entry.tx,
        "reason": entry.reason,
    }


def collected_of(row: Row[Any]) -> Collected | None:
    """Read a sum of paid orders; None where there is none."""
    count, oldest, amount = tuple(row)
    return Collected(orders=count, oldest=oldest, amount=Wei(int(amount))) if count else None
