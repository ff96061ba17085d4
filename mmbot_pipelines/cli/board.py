"""Every order's way, as a live table for people and as JSON for programs."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Filter, Orders
from mmbot_pipelines.cli.screen import eth, plain

_WAY = [s for s in Status if s is not Status.DROPPED]
_MOST_ROWS = 40


def all_orders(store: Orders) -> list[Order]:
    """List all orders as they were set."""
    return sorted(store.find(Filter()), key=lambda o: (o.origin, o.number))


def times(store: Orders, key: str) -> dict[Status, datetime]:
    """Return when an order first came to each state, UTC."""
    reached: dict[Status, datetime] = {}
    for entry in store.history(key):
        reached.setdefault(entry.after, entry.at)
    return reached


def report(store: Orders) -> dict[str, Any]:
    """Describe every order's way for a program."""
    orders = all_orders(store)
    return {
        "orders": [
            {
                "key": o.key,
                "origin": o.origin,
                "status": str(o.status),
                "failed": o.failed,
                "parked": o.parked,
                "reason": o.reason,
                "states": {str(s): at.isoformat() for s, at in times(store, o.key).items()},
                "transfer_tx": o.transfer_tx,
                "claim_tx": o.claim_tx,
            }
            for o in orders
        ],
        "summary": dict(Counter(str(o.status) for o in orders)),
    }


def board(orders: Sequence[Order], expected: int, ui: str) -> Group:
    """Draw the orders' way so far."""
    table = Table(title=f"{len(orders)} of {expected} orders   Dagster UI: {ui}", box=None)
    table.add_column("order", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("fee", justify="right", no_wrap=True)
    table.add_column("way", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("why", overflow="ellipsis", no_wrap=True, max_width=60)
    for order in orders[-_MOST_ROWS:]:
        table.add_row(
            order.key, eth(order.amount), eth(order.fee), _way(order), _status(order),
            plain(order.reason or ""),
        )  # fmt: skip
    counts = Counter("parked" if o.parked else str(o.status) for o in orders)
    return Group(table, Text("   ".join(f"{name} {n}" for name, n in sorted(counts.items()))))


def _way(order: Order) -> Text:
    if order.status is Status.DROPPED:
        return Text("○" * len(_WAY), style="dim")
    done = _WAY.index(order.status) + 1
    return Text("●" * done, style="green") + Text("○" * (len(_WAY) - done), style="dim")


def _status(order: Order) -> Text:
    if order.parked:
        return Text(f"{order.status} parked", style="red")
    if order.failed:
        return Text(f"{order.status} failed", style="red")
    style = {Status.COMPLETED: "green", Status.DROPPED: "yellow"}.get(order.status, "cyan")
    return Text(str(order.status), style=style)
