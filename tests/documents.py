"""Find the commands, settings and names in our documents, and check that they exist."""

import re
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from mmbot_pipelines.cli.main import main
from mmbot_pipelines.defs.bridge import (
    alerts,
    assets,
    checks,
    daemons,
    failed_orders,
    failed_runs,
    order_history,
    orders,
    overview,
    reports,
    safety,
    schedules,
)
from mmbot_pipelines.defs.shared import retention


def pieces(text: str) -> Iterator[str]:
    """Yield every line of code and every piece of code within a line, without comments."""
    for block, piece in re.findall(r"```\n(.*?)```|`([^`]+)`", text, re.DOTALL):
        for line in (block or piece).splitlines():
            yield re.sub(r"\s{2,}#.*$", "", line).strip()


def called(text: str) -> list[list[str]]:
    """Return the arguments of every call of mmbot."""
    command = r"(?:sudo )?(?:\S*/)?mmbot ((?!\.\.\.).+)$"
    calls = [re.search(rf"(?:^|; ){command}", piece) for piece in pieces(text)]
    return [re.findall(r'"[^"]*"|[^\s\[\]]+', call[1]) for call in calls if call]


def understood(call: list[str]) -> bool:
    """Return whether mmbot has the command and its options, by its help."""
    with pytest.raises(SystemExit) as end:
        main([*(word for word in call if word != "..."), "--help"])
    return end.value.code == 0


def words(text: str) -> set[str]:
    """Return the names in snake case, as Dagster has them."""
    return {piece for piece in pieces(text) if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", piece)}


def dagster_names() -> set[str]:
    """Return the names of all jobs, sensors, schedules and assets."""
    parts = [
        orders.definitions(["zksync", "starknet"], 4),
        retention.definitions(30),
        reports.definitions(date(2026, 11, 20), ["zksync"]),
        checks.definitions(["zksync"]),
        assets.definitions(["zksync"]),
        *(
            part.definitions
            for part in (
                alerts,
                daemons,
                safety,
                failed_runs,
                failed_orders,
                order_history,
                overview,
                schedules,
            )
        ),
    ]
    return set().union(*map(_names_of, parts))


def _names_of(definitions: dg.Definitions) -> set[str]:
    found: set[str] = set()
    for part in (definitions.jobs, definitions.sensors, definitions.schedules):
        found |= {str(one.name) for one in part or [] if hasattr(one, "name")}
    for checks_of_asset in definitions.asset_checks or []:
        found |= {key.name for key in getattr(checks_of_asset, "check_keys", ())}
    return found | {key.to_user_string() for key in _asset_keys(definitions)}


def _asset_keys(definitions: dg.Definitions) -> Iterator[dg.AssetKey]:
    for asset in definitions.assets or []:
        if isinstance(asset, dg.AssetsDefinition):
            yield from asset.keys
