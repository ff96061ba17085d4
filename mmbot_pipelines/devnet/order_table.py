"""Every order's way, as a live table for people and as JSON for programs."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import OrderFilter, OrderReads
from mmbot_pipelines.cli.screen import eth, plain

_WAY = [s for s in Status if s is not Status.DROPPED]


def all_orders(store: OrderReads) -> list[Order]:
    """List all orders as they were set."""
    return sorted(store.find(OrderFilter()), key=lambda o: (o.origin, o.number))


def times(store: OrderReads, key: str) -> dict[Status, datetime]:
    """Return when an order first came to each state, UTC."""
    reached: dict[Status, datetime] = {}
    for entry in store.history(key):
        reached.setdefault(entry.after, entry.at)
    return reached


def report(store: OrderReads) -> dict[str, Any]:
    """Describe every order's way for a program."""
    orders = all_orders(store)
    return {
        "orders": [
            {
                "key": o.key,
                "origin": o.origin,
                "status": str(o.status),
                "failed": o.failed,
                "parked": o.is_parked,
                "reason": o.reason,
                "states": {str(s): at.isoformat() for s, at in times(store, o.key).items()},
                "transfer_tx": o.transfer_tx,
                "claim_tx": o.claim_tx,
            }
            for o in orders
        ],
        "summary": dict(Counter(str(o.status) for o in orders)),
    }


def order_table(shown: Sequence[Order], orders: Sequence[Order], expected: int, ui: str) -> Group:
    """Draw the way of some orders so far, and count all; the reasons take what width is left."""
    table = Table(box=None)
    for heading in ("order", "amount", "fee", "way", "status"):
        table.add_column(
            heading, justify="right" if heading in {"amount", "fee"} else "left", no_wrap=True
        )
    table.add_column("why")
    for order in shown:
        table.add_row(
            order.key, eth(order.amount), eth(order.fee), _way(order), _status(order),
            _one_line(order.reason or ""),
        )  # fmt: skip
    title = Text(f"{len(orders)} of {expected} orders   Dagster UI: {ui}", style="italic")
    return Group(title, table, Text(tally(orders)))


def tally(orders: Sequence[Order]) -> str:
    """Count the orders by state, the parked ones apart: "COMPLETED 9   parked 1"."""
    counts = Counter("parked" if o.is_parked else str(o.status) for o in orders)
    return "   ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _way(order: Order) -> Text:
    if order.status is Status.DROPPED:
        return Text("○" * len(_WAY), style="dim")
    done = _WAY.index(order.status) + 1
    return Text("●" * done, style="green") + Text("○" * (len(_WAY) - done), style="dim")


def _status(order: Order) -> Text:
    if order.is_parked:
        return Text(f"{order.status} parked", style="red")
    if order.failed:
        return Text(f"{order.status} failed", style="red")
    style = {Status.COMPLETED: "green", Status.DROPPED: "yellow"}.get(order.status, "cyan")
    return Text(str(order.status), style=style)


def _one_line(text: str) -> Text:
    cell = plain(text)
    cell.no_wrap, cell.overflow = True, "ellipsis"  # `mmbot orders` shows all of it
    return cell
