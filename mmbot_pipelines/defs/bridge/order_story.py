"""One order's whole history as Dagster's metadata, and what to do about one that is parked."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.reverts import is_not_taken
from mmbot_pipelines.core.errors import RecipientRefused, SimulationReverted
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.core.text import sanitized
from mmbot_pipelines.defs.bridge.metadata import Value, amounts, linked

_MAX_ROWS = 100  # the newest of each kind
_MAX_CHARACTERS = 400


# In words of a person, where the reason is the recipient's own.
_REFUSED = {
    SimulationReverted.__name__: "simulated; no gas spent",
    RecipientRefused.__name__: "when it was mined; gas spent, nothing paid",
}


def parked_line(order: Order) -> str:
    """Return what a person must know of a parked order: reason, amount, recipient, next step."""
    stored = (order.reason or "no reason is stored").partition("\n")[0].rstrip(".")
    kind = stored.partition(":")[0]
    if is_not_taken(order.reason or "") and kind in _REFUSED:
        why = f"recipient {order.recipient} refuses {format_ether(order.amount)} ({_REFUSED[kind]})"
    else:
        why = f"{stored}. {format_ether(order.amount)} for {order.recipient}"
    return (
        f"{order.key} is parked at {order.status}: {sanitized(why, _MAX_CHARACTERS)}. Leave it, or "
        f"fix the cause and materialize its partition (`mmbot retry {order.key}`)"
    )


def order_story(bridge: Bridge, order: Order) -> dict[str, Value]:
    """Return an order's terms, its changes, transactions and errors, oldest first."""
    store, explorers = bridge.store, bridge.explorers
    changes = store.orders.history(order.key)
    sent = store.outbox.of(order.key)
    errors = store.errors.of(order.key)
    on_l1 = {t.hash: f"{t.purpose}, {t.state}" for t in sent}
    on_l2 = {order.set_order_tx: "order set"}
    for change in changes:  # what is none of ours on L1: who paid it before us, and the L2's
        if change.tx is not None and change.tx not in on_l1:
            paid = change.after in (Status.TRANSFERRING, Status.FULFILLED)
            (on_l1 if paid else on_l2).setdefault(change.tx, str(change.after))
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
    links = [
        *(linked(f"{tx} ({what})", explorers.get(order.origin)) for tx, what in on_l2.items()),
        *(linked(f"{tx} ({what})", explorers.get(GLOBAL)) for tx, what in on_l1.items()),
        linked(f"{order.recipient} (recipient)", explorers.get(GLOBAL)),
    ]
    if explorers:
        story["links"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in links))
    if order.reason:
        story["reason"] = dg.MetadataValue.text(sanitized(order.reason, _MAX_CHARACTERS))
    if order.is_parked:
        return {"next step": dg.MetadataValue.text(parked_line(order))} | story
    return story


def story_lines(order: Order, story: Mapping[str, Value]) -> Iterator[str]:
    """Yield an order's story as lines of a log."""
    yield (
        f"{order.key}: {order.status}, {format_ether(order.amount)} for {order.recipient}, "
        f"fee {format_ether(order.fee)}, set in {story['set in'].value}"
    )
    for name in ("history", "transactions", "errors"):
        table = story[name]
        if isinstance(table, dg.TableMetadataValue):
            for record in table.records:
                shown = [f"{column} {cell}" for column, cell in record.data.items() if cell != ""]
                yield f"{name}: {', '.join(shown)}"
    if "next step" in story:
        yield str(story["next step"].value)


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
