"""mmbot orders: what became of the orders, from the database alone."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from mmbot_pipelines import settings
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order, is_key
from mmbot_pipelines.bridge.orders.origins import EXAMPLE_KEY, ORIGINS
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.cli.bridge.order_history import failure_status, print_history
from mmbot_pipelines.cli.bridge.order_json import history_as_json, order_as_json
from mmbot_pipelines.cli.screen import (
    acted_on,
    console,
    eth,
    format_duration,
    plain,
)
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.wiring import bridge_store, shared

orders = typer.Typer()


@orders.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    *,
    status: Annotated[
        Status | None, typer.Option(case_sensitive=False, help="Only orders in this status.")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(help="Only orders of this origin.", autocompletion=lambda: [*ORIGINS]),
    ] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--no-failed", help="Only failed, or only healthy ones.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest change first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, amounts in wei.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if origin is not None:
        require_origin(origin, [*ORIGINS])
    wanted = OrderFilter(status=status, origin=origin, failed=failed, limit=limit + 1)
    database = shared.existing(settings.load_database())
    found = bridge_store.store(database).orders.find(wanted)
    if as_json:
        typer.echo(json.dumps([order_as_json(order) for order in found[:limit]], indent=2))
    elif found:
        _print_list(found[:limit])
        if len(found) > limit:
            console().print(
                f"and more: those above changed last; list more with --limit {2 * limit}"
            )
    else:
        console().print("no such orders")
    acted_on(database, stderr=as_json)


@orders.command()
def show(
    key: Annotated[str, typer.Argument(help=f'The order, e.g. "{EXAMPLE_KEY}".')],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, amounts in wei.")] = False,
) -> None:
    """Show one order's whole history: states, transactions, errors."""
    require_keys([key])
    database = shared.existing(settings.load_database())
    store = bridge_store.store(database)
    found = store.orders.get([key])
    if not found:
        message = (
            f"{key}: no such order (database: {database.description}); `mmbot orders` lists them"
        )
        console(stderr=True).print(plain(message), soft_wrap=True)
        raise typer.Exit(1)
    invokes = bridge_store.invokes(database).of([key])
    if as_json:
        typer.echo(json.dumps(history_as_json(found[0], store, invokes), indent=2))
    else:
        print_history(found[0], store, invokes, console(), datetime.now(UTC))
    acted_on(database, stderr=as_json)


def _print_list(found: list[Order]) -> None:
    now = datetime.now(UTC)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("order", "status", "trouble"):
        table.add_column(heading, no_wrap=True)
    for heading in ("amount", "fee", "changed"):
        table.add_column(heading, no_wrap=True, justify="right")
    for order in found:
        table.add_row(
            plain(order.key),
            order.status,
            failure_status(order, now),
            eth(order.amount),
            eth(order.fee),
            f"{format_duration((now - order.changed_at).total_seconds())} ago",
        )
    console().print(table)
    for order in found:  # a table's cell would cut them
        if order.reason:
            console().print(plain(f"{order.key}: {order.reason}"), soft_wrap=True)


def require_keys(keys: Sequence[str]) -> None:
    """End with exit code 2 where a text is no order's key; it may be a secret, pasted here.

    Raises:
        InvalidSettings: one is none; the message does not repeat it.
    """
    for number, key in enumerate(keys, 1):
        if not is_key(key):
            raise InvalidSettings(
                f"argument {number} is no order's key: write one that `mmbot orders` lists, "
                f"e.g. {EXAMPLE_KEY}"
            )


def require_origin(name: str, known: Sequence[str]) -> None:
    """End with exit code 2 where a command is given an origin that there is not.

    Raises:
        InvalidSettings: `known` lacks it.
    """
    if name not in known:
        raise InvalidSettings(
            f"--origin: there is no such origin; choose one of {', '.join(known)}"
        )
