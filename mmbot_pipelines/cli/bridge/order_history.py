"""One order's whole history in lines that fit any terminal: nothing is cut off."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console

from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.bridge.orders.journal import HistoryEntry
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.cli.screen import format_duration, format_utc, plain
from mmbot_pipelines.core.error_log import ErrorEntry
from mmbot_pipelines.core.money import format_ether, format_gwei, in_strk, shares
from mmbot_pipelines.core.outbox import Transaction, TxState

_COST_NOTHING = {
    TxState.REPLACED: "another one of ours",
    TxState.LOST: "a transaction that is not ours",
}


def print_history(
    order: Order, store: BridgeStore, invokes: Sequence[Invoke], out: Console, now: datetime
) -> None:
    """Print an order's facts, states, transactions and errors, oldest first."""
    state = failure_status(order, now)
    out.print(plain(f"{order.key}  {order.status}{f'  ({state})' if state else ''}"), style="bold")
    for line in _facts(order):
        out.print(plain(line), soft_wrap=True)
    for heading, parts in (
        ("History", [_change(h) for h in store.orders.history(order.key)]),
        ("Transactions", [_transaction(t, order.key) for t in store.outbox.of(order.key)]),
        *([("L2 transactions", [_invoke(i) for i in invokes])] if invokes else []),
        ("Errors", [_error(e) for e in store.errors.of(order.key)]),
    ):
        out.print(f"\n{heading} ({len(parts)}), times in UTC", style="bold")
        for first, *details in parts:
            out.print(plain(f"  {first}"), soft_wrap=True)
            for detail in details:
                out.print(plain(f"      {detail}"), soft_wrap=True)


def _facts(order: Order) -> Iterator[str]:
    yield f"  amount     {format_ether(order.amount)}"
    yield f"  fee        {format_ether(order.fee)}"
    yield f"  recipient  {order.recipient}"
    yield f"  set in     block {order.block.number}, transaction {order.set_order_tx}"
    yield f"  attempt    {order.attempt}, failures since the last progress {order.failures}"
    if order.claim_ref:
        yield f"  claim      {order.claim_ref}"
    if order.claim_refund is not None:
        yield f"  refund     {format_ether(order.claim_refund)} of its message, on {order.origin}"
    if order.reason:
        yield f"  reason     {order.reason}"


def _change(entry: HistoryEntry) -> list[str]:
    if entry.before is None:
        step = f"seen, {entry.after}"
    elif entry.before == entry.after:
        step = f"stays {entry.after}"
    else:
        step = f"{entry.before} -> {entry.after}"
    lines = [f"{format_utc(entry.at)}  {step}  run {entry.run_id}"]
    if entry.tx:
        lines.append(f"transaction {entry.tx}")
    return lines + (entry.reason.splitlines() if entry.reason else [])


def _transaction(row: Transaction, key: str) -> list[str]:
    again = f", replacement {row.bump}" if row.bump else ""
    block = f" in block {row.block.number}" if row.block else ""
    attempt = next((part.attempt for part in row.parts if part.subject == key), row.attempt)
    lines = [
        f"{format_utc(row.stored_at)}  {row.purpose} {attempt}, nonce {row.nonce}{again}, "
        f"{row.state}{block}",
        f"hash {row.hash}",
        f"value {format_ether(row.call.value)}",
    ]
    if row.gas_used is not None and row.gas_price is not None:
        cost = format_ether(row.gas_used * row.gas_price)
        lines.append(f"gas used {row.gas_used} at {format_gwei(row.gas_price)}, cost {cost}")
        lines += _share(row, key)
        if row.refund:
            what = "messages of it" if row.is_self_call else "its message"
            lines.append(f"{what} failed on the L2, {format_ether(row.refund)} came back there")
        return lines
    if row.state in _COST_NOTHING:
        return [*lines, f"cost nothing: {_COST_NOTHING[row.state]} used its nonce"]
    max_fee = format_ether(row.gas * row.fees.ceiling)
    return [
        *lines,
        f"gas limit {row.gas} at up to {format_gwei(row.fees.ceiling)}, at most {max_fee}",
    ]


def _share(row: Transaction, key: str) -> list[str]:
    """Return an order's part of what a transaction cost that serves several."""
    found = [position for position, part in enumerate(row.parts) if part.subject == key]
    if not row.batch or not found or row.gas_used is None or row.gas_price is None:
        return []
    gas = shares(row.gas_used * row.gas_price, len(row.parts))
    orders = len({part.subject for part in row.parts})
    value = sum(row.parts[position].value for position in found)
    return [
        f"shared by {orders} orders: {format_ether(sum(gas[p] for p in found))} of the gas "
        f"and {format_ether(value)} of the value are this order's"
    ]


def _invoke(row: Invoke) -> list[str]:
    again = f", replacement {row.bump}" if row.bump else ""
    lines = [
        f"{format_utc(row.stored_at)}  proof shown, nonce {row.nonce}{again}, {row.state}",
        f"hash {row.hash}",
    ]
    if row.fee is not None:
        shared = f", for {len(row.subjects)} orders together" if len(row.subjects) > 1 else ""
        return [*lines, f"cost {in_strk(row.fee)}{shared}"]
    if row.ahead_of is not None:
        return [*lines, f"cost nothing yet: given up, the account's next nonce was {row.ahead_of}"]
    if row.state in _COST_NOTHING:
        return [*lines, f"cost nothing: {_COST_NOTHING[row.state]} used its nonce"]
    return [*lines, "cost not known yet"]


def _error(entry: ErrorEntry) -> list[str]:
    fault = entry.fault
    first = f"{format_utc(entry.at)}  {fault.step}: {fault.kind}  run {entry.run_id}"
    return [first, *fault.message.splitlines()]


def failure_status(order: Order, now: datetime) -> str:
    """Return "parked", or when a failed order is tried again, or nothing."""
    if order.is_parked:
        return "parked"
    if order.failed and order.next_attempt_at is not None:
        wait = (order.next_attempt_at - now).total_seconds()
        return f"failed, again in {format_duration(wait)}" if wait > 0 else "failed, again now"
    return ""
