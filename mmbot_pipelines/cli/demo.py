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

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.orders import PgOrders
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Orders
from mmbot_pipelines.cli.board import all_orders, board, report
from mmbot_pipelines.devnet.orders import Kind, Wish, place, plan
from mmbot_pipelines.devnet.stack import Stack, StackError

_LOOK_EVERY_SECONDS = 0.5
_TELL_EVERY_SECONDS = 5.0


def demo(
    orders: Annotated[int, typer.Option(min=len(Kind), help="How many orders users place.")] = 12,
    exit_: Annotated[
        bool, typer.Option("--exit", help="End by itself when every order is where it belongs.")
    ] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write every order's way into this file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Repeat an earlier demo's orders.")] = None,
    home: Annotated[Path, typer.Option(help="The folder for all that it writes.")] = Path(
        ".mmbot/demo"
    ),
    timeout: Annotated[float, typer.Option(help="With --exit: give up after these seconds.")] = 300,
) -> None:
    """Run the bridge on local chains, place orders, and show every order's way."""
    console = Console()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    began = time.monotonic()
    stack = Stack(home, tell=lambda what: _go_on(console, stopped, what))
    seed = random.randrange(10**6) if seed is None else seed  # noqa: S311  no secret
    try:
        with stack:
            console.print(
                f"up after {time.monotonic() - began:.0f} s; Dagster UI: {stack.ui}   "
                f"logs: {stack.home / 'logs'}   --seed {seed} repeats these orders"
            )
            store = PgOrders(connect(stack.database_url))
            wishes = plan(stack.deployment, orders, seed=seed)
            placed: dict[str, Wish] = {}
            users = threading.Thread(
                target=_place, args=(stack, wishes, placed, stopped), daemon=True
            )
            users.start()
            wrong = _watch(console, stack, store, placed, orders, exit_, stopped, timeout)
            stopped.set()
            users.join()
            if json_ is not None:
                json_.write_text(json.dumps(report(store), indent=2) + "\n")
            console.print("stopping everything", style="dim")
    except StackError as e:
        console.print(f"the demo failed: {e}", style="red", markup=False)
        raise typer.Exit(1) from None
    except _Stopped:
        return
    if wrong and exit_:
        console.print(f"the demo failed: {wrong}", style="red", markup=False)
        raise typer.Exit(1)


class _Stopped(Exception):
    """The user wants to end before everything has started."""


def _go_on(console: Console, stopped: threading.Event, what: str) -> None:
    if stopped.is_set():
        raise _Stopped
    console.print(f"starting {what}", style="dim")


def _place(
    stack: Stack, wishes: Sequence[Wish], placed: dict[str, Wish], stopped: threading.Event
) -> None:
    for wish in wishes:
        if stopped.wait(wish.delay):
            return
        placed[f"{wish.origin}:{place(stack.deployment.zksync, wish)}"] = wish


def _watch(
    console: Console,
    stack: Stack,
    store: Orders,
    placed: dict[str, Wish],
    expected: int,
    end_when_done: bool,
    stopped: threading.Event,
    timeout: float,
) -> str | None:
    """Show the orders until told to stop, or done; return what is wrong then, or None."""
    end = time.monotonic() + timeout
    told = time.monotonic()
    wrong: str | None = "stopped by hand"
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while not stopped.wait(_LOOK_EVERY_SECONDS):
            rows = all_orders(store)
            wrong = _wrong(rows, placed, expected)
            if console.is_terminal:
                live.update(board(rows, expected, stack.ui), refresh=True)
            elif time.monotonic() - told > _TELL_EVERY_SECONDS:
                told = time.monotonic()
                console.print(f"{sum(map(_at_rest, rows))} of {expected} orders are at rest")
            if end_when_done and wrong is None:
                break
            if end_when_done and time.monotonic() > end:
                break
        live.update(board(all_orders(store), expected, stack.ui), refresh=True)
    return wrong


def _at_rest(order: Order) -> bool:
    return order.status.final or order.parked


def _wrong(orders: Sequence[Order], placed: dict[str, Wish], expected: int) -> str | None:
    """Say which orders are not where they belong."""
    if len(orders) < expected or len(placed) < expected:
        return f"{len(orders)} of {expected} orders were found"
    astray = [
        f"{o.key} ({placed[o.key].kind}) is {o.status}{' and parked' if o.parked else ''}"
        for o in orders
        if not _belongs(o, placed[o.key].kind)
    ]
    return "; ".join(astray) or None


def _belongs(order: Order, kind: Kind) -> bool:
    match kind:
        case Kind.GOOD:
            return order.status is Status.COMPLETED
        case Kind.LOW_FEE | Kind.ABOVE_CAP:
            return order.status is Status.DROPPED
        case Kind.REJECTING:
            return order.parked
