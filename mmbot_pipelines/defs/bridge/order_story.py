"""One order's whole history as Dagster's metadata, and what to do about one that is parked."""

from collections.abc import Sequence

import dagster as dg

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.text import sanitized
from mmbot_pipelines.defs.bridge.metadata import Value, amounts

_MAX_ROWS = 100  # the newest of each kind
_MAX_CHARACTERS = 400


def parked_line(order: Order) -> str:
    """Return what a person must know of a parked order: reason, amount, recipient, next step."""
    why = sanitized((order.reason or "no reason is stored").partition("\n")[0], _MAX_CHARACTERS)
    return (
        f"{order.key} is parked at {order.status}: {why}. {format_ether(order.amount)} for "
        f"{order.recipient}. Leave it, or fix the cause and materialize its partition "
        f"(`mmbot retry {order.key}`)"
    )


def order_story(store: BridgeStore, order: Order) -> dict[str, Value]:
    """Return an order's terms, its changes, transactions and errors, oldest first."""
    changes = store.orders.history(order.key)
    sent = store.outbox.of(order.key)
    errors = store.errors.of(order.key)
    story: dict[str, Value] = {
        "order": dg.MetadataValue.text(order.key),
        "status": dg.MetadataValue.text(str(order.status)),
        "recipient": dg.MetadataValue.text(order.recipient),
        **amounts({"amount": order.amount, "fee": order.fee}),
        "set in": dg.MetadataValue.text(
            f"block {order.block.number} of {order.origin}, {order.set_order_tx}"
        ),
        "history": _table(
            ["at (UTC)", "from", "to", "transaction", "reason", "run"],
            [
                [f"{c.at:%Y-%m-%d %H:%M:%S}", c.before, c.after, c.tx, c.reason, c.run_id]
                for c in changes
            ],
        ),
        "transactions": _table(
            ["stored at (UTC)", "purpose", "nonce", "state", "block", "hash"],
            [
                [
                    f"{t.stored_at:%Y-%m-%d %H:%M:%S}",
                    t.purpose,
                    t.nonce,
                    t.state,
                    t.block and t.block.number,
                    t.hash,
                ]
                for t in sent
            ],
        ),
        "errors": _table(
            ["at (UTC)", "step", "kind", "message", "run"],
            [
                [f"{e.at:%Y-%m-%d %H:%M:%S}", e.fault.step, e.fault.kind, e.fault.message, e.run_id]
                for e in errors
            ],
        ),
    }
    if order.reason:
        story["reason"] = dg.MetadataValue.text(sanitized(order.reason, _MAX_CHARACTERS))
    if order.is_parked:
        story["next step"] = dg.MetadataValue.text(parked_line(order))
    return story


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Value:
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    name: "" if value is None else sanitized(value, _MAX_CHARACTERS)
                    for name, value in zip(columns, row, strict=True)
                }
            )
            for row in rows[-_MAX_ROWS:]
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in columns]),
    )
