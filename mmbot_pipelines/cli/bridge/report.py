"""mmbot report: what was earned and what it cost, by day and origin."""

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich import box
from rich.table import Table

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.cli.screen import acted_on, console, eth
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import in_strk
from mmbot_pipelines.wiring import shared

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = ("found", "transferred", "completed", "dropped", "errors")
_ETH = ("paid", "earned", "gas_paid", "messages_paid", "refunded", "profit")
_SELDOM = ("lost_to_strangers", "lost_to_reorgs")  # shown where there are any
_DAYS = 7  # shown where none is asked for


def report(
    *,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, in UTC; else a week."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, in UTC; else today."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, amounts in wei.")] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Write the table to this file too, amounts in wei.")
    ] = None,
) -> None:
    # Only here: no other command waits for pandas.
    from mmbot_pipelines.bridge.report import daily  # noqa: PLC0415

    end = (last or datetime.now(UTC)).date()
    begin = first.date() if first else end - timedelta(days=_DAYS - 1)
    if begin > end:
        raise InvalidSettings(f"--from {begin} is after --to {end}: swap them")
    database = shared.existing(settings.load_database())
    reports = PgReports(shared.engine(database))
    since = datetime.combine(begin, time(), UTC)
    until = datetime.combine(end, time(), UTC) + timedelta(days=1)
    table = daily(
        reports.days(since=since, until=until), reports.order_times(since=since, until=until)
    )
    if csv is not None:
        _write(table, csv)
    if as_json:
        typer.echo(json.dumps(_as_json(table), indent=2))
    else:
        console().print(_screen(table, f"{begin} to {end}, UTC"))
    acted_on(database, stderr=as_json)


def _write(table: "pd.DataFrame", path: Path) -> None:
    try:
        table.to_csv(path)
    except OSError as e:
        raise InvalidSettings(f"--csv: {path} cannot be written: {e.strerror or e}") from None


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return cast(list[dict[str, Any]], plain.reset_index().to_dict("records"))


def _as_json(table: "pd.DataFrame") -> list[dict[str, object]]:
    from mmbot_pipelines.bridge.report import AMOUNTS, MARGIN  # noqa: PLC0415

    wei = {*AMOUNTS} - {"starknet_fees"}

    # JSON numbers lose digits from 2^53 on in most readers
    def written(name: str, value: object) -> object:
        is_exact = value is not None and name in {*wei, MARGIN}
        return str(value) if is_exact else value

    return [
        {f"{n}_wei" if n in wei else n: written(n, value) for n, value in row.items()}
        for row in _rows(table)
    ]


def _screen(table: "pd.DataFrame", title: str) -> Table:
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("day", "origin"):
        shown.add_column(heading, no_wrap=True)
    from mmbot_pipelines.bridge.report import SECONDS  # noqa: PLC0415

    in_strk_too = bool(table["starknet_fees"].any())
    amounts = (*_ETH, *(name for name in _SELDOM if table[name].any()))
    for heading in (*_COUNTS, *amounts, *(["starknet_fees"] if in_strk_too else []), *SECONDS):
        shown.add_column(heading.replace("_", " "), justify="right")
    for row in _rows(table):
        shown.add_row(
            row["day"],
            row["origin"],
            *(str(row[name]) for name in _COUNTS),
            *(eth(row[name]) for name in amounts),
            *([in_strk(row["starknet_fees"])] if in_strk_too else []),
            *("" if row[name] is None else f"{row[name]:.1f} s" for name in SECONDS),
        )
    return shown
