"""mmbot status: whether all is well, from the database alone."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text
from sqlalchemy import Engine

from mmbot_pipelines import settings
from mmbot_pipelines.bridge.overview import Overview
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.cli.screen import acted_on, console, eth, format_duration, plain
from mmbot_pipelines.core.safety import GLOBAL, effective_state
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring.overview import overview

_WATCH_SECONDS = 2.0


def status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every 2 s, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, amounts in wei.")] = False,
) -> None:
    """Say whether all is well; exit code 1 where something waits for a person."""
    database = shared.existing(settings.load_database())
    engine = shared.engine(database)
    now = overview(engine, datetime.now(UTC))
    if as_json:
        given = {"dry_run": settings.load_dry_run()}
        typer.echo(json.dumps(_as_json(now) | given, indent=2))
    elif watch:
        now = _watch(engine, now)
    else:
        console().print(_screen(now), soft_wrap=True)
    acted_on(database, stderr=as_json)
    if not now.is_well:
        raise typer.Exit(1)


def _watch(engine: Engine, now: Overview) -> Overview:
    with Live(_screen(now), console=console(), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_WATCH_SECONDS)
                now = overview(engine, datetime.now(UTC))
                live.update(_screen(now), refresh=True)
        except KeyboardInterrupt:
            return now


def _screen(now: Overview) -> Text:
    text = Text()
    problems = now.problems()
    if now.is_well:
        text.append("all is well\n", style="bold green")
    elif problems:
        noun = "thing waits" if len(problems) == 1 else "things wait"
        text.append(f"{len(problems)} {noun} for you\n", style="bold red")
    else:
        text.append("alerts are open\n", style="bold red")
    for problem in problems:
        text.append(plain(f"  {problem}\n"))
    for name, line in _lines(now):
        text.append(plain(f"{name:8} {line}\n"))
    text.rstrip()
    return text


def _lines(now: Overview) -> Iterator[tuple[str, str]]:
    yield "safety", str(effective_state(now.scope_states, GLOBAL).state)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(now.unfinished.items()))
    age = f", the oldest {format_duration(now.oldest.total_seconds())}" if now.oldest else ""
    yield (
        "orders",
        f"{now.unfinished.total()} unfinished{f' ({counts}){age}' if counts else ''}; "
        f"{now.in_condition('failed')} failed and tried again, {now.in_condition('parked')} parked",
    )
    today = now.today
    costs = today.gas_paid + today.messages_paid - today.refunded
    yield "money", f"{eth(now.exposure)} out, not yet repaid"
    yield (
        "today",
        f"{today.completed} completed, fees {eth(today.earned)}, costs {eth(costs)}, "
        f"profit {eth(today.profit)}",
    )
    for known in now.wallets:
        ago = format_duration((now.at - known.mark.at).total_seconds())
        balance = eth(known.mark.account.balance)
        yield "wallet", f"{known.wallet} had {balance} on chain {known.chain_id} {ago} ago"
    for origin in sorted({origin for origin, _ in now.cursors}):
        latest = now.cursors.get((origin, Cursor.LATEST))
        accepted = now.cursors.get((origin, Cursor.ACCEPTED))
        blocks = [f"block {latest}"] if latest is not None else []
        blocks += [f"accepted block {accepted}"] if accepted is not None else []
        yield "read", f"{origin} to {', '.join(blocks)}"
    for alert in now.alerts:
        yield "alert", f"[{alert.severity}] {alert.title}"
    if now.daemon_seen_at is not None:
        ago = format_duration((now.at - now.daemon_seen_at).total_seconds())
        yield "daemon", f"alive {ago} ago"


def _as_json(now: Overview) -> dict[str, object]:
    today = now.today
    # JSON numbers lose digits from 2^53 on in most readers
    return {
        "well": now.is_well,
        "problems": now.problems(),
        "safety": {s.scope: s.state for s in now.scope_states},
        "unfinished": dict(now.unfinished),
        "failed": now.in_condition("failed"),
        "parked": now.in_condition("parked"),
        "oldest_seconds": now.oldest.total_seconds() if now.oldest else None,
        "exposure_wei": str(now.exposure),
        "today": {
            "completed": today.completed,
            "earned_wei": str(today.earned),
            "profit_wei": str(today.profit),
        },
        "wallets": [
            {
                "chain_id": known.chain_id,
                "wallet": known.wallet,
                "balance_wei": str(known.mark.account.balance),
                "at": known.mark.at.isoformat(),
            }
            for known in now.wallets
        ],
        "cursors": {f"{origin} {kind}": block for (origin, kind), block in now.cursors.items()},
        "alerts": [{"severity": a.severity, "title": a.title, "text": a.text} for a in now.alerts],
        "daemon_seen_at": now.daemon_seen_at.isoformat() if now.daemon_seen_at else None,
    }
