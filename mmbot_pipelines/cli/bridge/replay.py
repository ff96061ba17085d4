"""mmbot replay: what the bot would have done with real history; reads chains alone, no key."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from mmbot_pipelines import settings
from mmbot_pipelines.bridge.replay import APPROXIMATE, Decision, Replayed
from mmbot_pipelines.cli.bridge.orders import require_origin
from mmbot_pipelines.cli.screen import console, eth, plain
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import format_ether, format_gwei
from mmbot_pipelines.wiring.replay import replayed


def replay(
    *,
    first: Annotated[int, typer.Option("--from-block", min=0, help="The first block of the L2.")],
    last: Annotated[int, typer.Option("--to-block", min=0, help="The last block of the L2.")],
    origin: Annotated[
        str | None,
        typer.Option(
            help="Of this origin; else the only one of MMBOT_ORIGINS.",
            autocompletion=lambda: [*settings.ORIGINS],
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, amounts in wei.")] = False,
) -> None:
    if first > last:
        raise InvalidSettings(f"--from-block {first} is after --to-block {last}: swap them")
    read = settings.load(keys=False)
    if origin is None and len(read.origins) > 1:
        raise InvalidSettings(f"--origin is missing: choose one of {', '.join(read.origins)}")
    name = origin or read.origins[0]
    require_origin(name, read.origins)
    found = list(replayed(read, name, first=first, last=last))
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
        return
    out = console()
    if found:
        out.print(_table(found))
    for one in found:  # a table's cell would cut them
        if one.reason:
            out.print(plain(f"{one.order.key}: {one.reason}"), soft_wrap=True)
    counts = Counter(str(one.decision) for one in found)
    out.print(
        f"{len(found)} orders in blocks {first} to {last} of {name}"
        + "".join(f", {count} {decision}" for decision, count in sorted(counts.items()))
        + f"; profit {format_ether(_profit(found))}"
    )
    for line in APPROXIMATE:
        out.print(plain(f"  {line}"), soft_wrap=True)


def _profit(found: Sequence[Replayed]) -> int:
    return sum(one.profit for one in found)


def _table(found: Sequence[Replayed]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("order", "block", "decision", "amount", "fee", "base fee", "cost", "profit"):
        table.add_column(heading, no_wrap=True)
    for one in found:
        table.add_row(
            one.order.key,
            str(one.order.block.number),
            str(one.decision),
            eth(one.order.amount),
            eth(one.order.fee),
            "" if one.base_fee is None else format_gwei(one.base_fee),
            "" if one.cost is None else eth(one.cost),
            eth(one.profit) if one.decision is Decision.FILLED else "",
        )
    return table


def _as_json(found: Sequence[Replayed]) -> dict[str, object]:
    # JSON numbers lose digits from 2^53 on in most readers
    return {
        "orders": [
            {
                "key": one.order.key,
                "block": one.order.block.number,
                "decision": one.decision,
                "reason": one.reason,
                "amount_wei": str(one.order.amount),
                "fee_wei": str(one.order.fee),
                "base_fee_wei": None if one.base_fee is None else str(one.base_fee),
                "cost_wei": None if one.cost is None else str(one.cost),
                "profit_wei": str(one.profit),
            }
            for one in found
        ],
        "profit_wei": str(_profit(found)),
        "approximate": list(APPROXIMATE),
    }
