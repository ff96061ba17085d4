"""mmbot demo: the whole bridge at work on local chains."""

import json
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.bridge.ports.orders import OrderReads
from mmbot_pipelines.cli.screen import console, plain
from mmbot_pipelines.core.errors import InvalidSettings, StoreUnavailable
from mmbot_pipelines.devnet.demo_folder import alone_in, settings_in
from mmbot_pipelines.devnet.local_chain import ChainError
from mmbot_pipelines.devnet.order_table import all_orders, order_table, report, tally
from mmbot_pipelines.devnet.orders import OrderKind, OrderSpec, plan
from mmbot_pipelines.devnet.stack import Stack, StackError

_POLL_EVERY_SECONDS = 0.5
_LOG_EVERY_SECONDS = 5.0
_ROWS_AROUND = 4  # that the table takes beside its orders


def demo(
    orders: Annotated[
        int, typer.Option(min=len(OrderKind), help="How many orders users place.")
    ] = 12,
    exit_: Annotated[
        bool, typer.Option("--exit", help="End by itself when every order is where it belongs.")
    ] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write every order's way into this file.")
    ] = None,
    origins: Annotated[
        str, typer.Option(envvar="MMBOT_ORIGINS", help="Where orders come from.")
    ] = "zksync,starknet",
    seed: Annotated[int | None, typer.Option(help="Repeat an earlier demo's orders.")] = None,
    home: Annotated[Path, typer.Option(help="The folder for all that it writes.")] = Path(
        ".mmbot/demo"
    ),
    timeout: Annotated[float, typer.Option(help="With --exit: give up after these seconds.")] = 300,
) -> None:
    """Run the bridge on local chains, place orders, and show every order's way."""
    screen = console()
    seed = random.randrange(10**6) if seed is None else seed  # noqa: S311  no secret
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    networks = [name.strip() for name in origins.split(",") if name.strip()]
    if not networks or set(networks) - set(ORIGINS):
        raise InvalidSettings(
            f"MMBOT_ORIGINS must name some of {', '.join(ORIGINS)}, not {origins}"
        )
    stack = Stack(
        home, origins=networks, log_start=lambda what: screen.print(f"starting {what}", style="dim")
    )
    try:
        with alone_in(home), stack, settings_in(stack.home, stack.environ) as take_up:
            stopped = _stop_by_hand()
            for line in (
                f"up after {time.monotonic() - began:.0f} s; Dagster UI: {stack.ui}",
                f"logs: {stack.home / 'logs'}   --seed {seed} repeats these orders",
                f"for mmbot in another terminal: {take_up}",
            ):
                screen.print(line, soft_wrap=True)
            store = PgBridgeStore(connect(stack.database_url)).orders
            placed: dict[str, OrderSpec] = {}
            order_specs = plan(stack.deployment, orders, seed=seed, origins=networks)
            users = threading.Thread(target=_place, args=(stack, order_specs, placed, stopped))
            users.start()
            seconds = timeout if exit_ else None
            wrong = _watch(screen, stack, store, placed, orders, stopped, seconds)
            stopped.set()
            users.join()
            if json_ is not None:
                json_.write_text(json.dumps(report(store), indent=2) + "\n")
            screen.print("stopping everything", style="dim")
    except (StackError, ChainError) as e:
        screen.print(plain(f"the demo did not start: {e}"), style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        wrong = "stopped by hand while starting"
    if wrong and exit_:
        screen.print(plain(f"the demo failed: {wrong}"), style="red", soft_wrap=True)
        raise typer.Exit(1)


def _stop_by_hand() -> threading.Event:
    """Return the event that Ctrl-C and SIGTERM set from now on."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _place(
    stack: Stack,
    order_specs: Sequence[OrderSpec],
    placed: dict[str, OrderSpec],
    stopped: threading.Event,
) -> None:
    users = stack.users()
    for order_spec in order_specs:
        if stopped.wait(order_spec.delay):
            return
        placed[users.place(order_spec)] = order_spec


def _watch(
    screen: Console,
    stack: Stack,
    store: OrderReads,
    placed: dict[str, OrderSpec],
    expected: int,
    stopped: threading.Event,
    seconds: float | None,
) -> str | None:
    """Show the orders until `stopped` is set; return what is wrong then, or None.

    seconds: end when every order is where it belongs, or after this time.
    """
    began = logged_at = time.monotonic()
    rows: list[Order] = []
    status_line = ""
    wrong: str | None = "stopped by hand"
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        while not stopped.wait(_POLL_EVERY_SECONDS):
            try:
                rows = all_orders(store)
                wrong = _wrong(rows, placed, expected)
            except StoreUnavailable as e:
                wrong = str(e)  # the stack starts Postgres again
            now = time.monotonic()
            if screen.is_terminal:
                max_lines = max(1, screen.height - _ROWS_AROUND)
                live.update(order_table(rows[-max_lines:], rows, expected, stack.ui), refresh=True)
            elif now - logged_at > _LOG_EVERY_SECONDS and tally(rows) != status_line:
                logged_at, status_line = now, tally(rows)
                screen.print(f"{len(rows)} of {expected} orders: {status_line}")
            if seconds is not None and (wrong is None or now - began > seconds):
                break
    screen.print(order_table(rows, rows, expected, stack.ui))
    return wrong


def _wrong(orders: Sequence[Order], placed: dict[str, OrderSpec], expected: int) -> str | None:
    """Return which orders are missing or in an unexpected state, or None."""
    if len(orders) < expected or len(placed) < expected:
        return f"{len(orders)} of {expected} orders were found"
    astray = [
        f"{o.key} ({placed[o.key].kind}) is {o.status}{' and parked' if o.is_parked else ''}"
        for o in orders
        if not _belongs(o, placed[o.key].kind)
    ]
    return "; ".join(astray) or None


def _belongs(order: Order, kind: OrderKind) -> bool:
    match kind:
        case OrderKind.GOOD:
            return order.status is Status.COMPLETED
        case OrderKind.LOW_FEE | OrderKind.ABOVE_CAP:
            return order.status is Status.DROPPED
        case OrderKind.REJECTING:
            return order.is_parked
