"""Amounts, problems and links as Dagster's metadata."""

import re
from collections.abc import Mapping, Sequence

import dagster as dg

from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.text import sanitized

_MAX_LISTED = 20
_MAX_CHARACTERS = 400  # of a line
_WEI_PER_ETH = 10**18
_ADDRESS_CHARACTERS = 42
_HEX = re.compile(r"\b0x[0-9a-fA-F]{40,64}\b")

Value = dg.MetadataValue


def amounts(given: Mapping[str, Wei]) -> dict[str, Value]:
    """Return each amount twice: in ETH as a float, which plots need, and in wei, exact."""
    values: dict[str, Value] = {}
    for name, wei in given.items():
        values[f"{name} (ETH)"] = dg.MetadataValue.float(wei / _WEI_PER_ETH)
        values[f"{name} (wei)"] = dg.MetadataValue.text(str(wei))
    return values


def linked(text: str, explorer: str | None) -> str:
    """Return text whose transactions and addresses of a chain are links to its explorer."""

    def link(found: re.Match[str]) -> str:
        kind = "address" if len(found[0]) == _ADDRESS_CHARACTERS else "tx"
        return f"[{found[0]}]({explorer}/{kind}/{found[0]})"

    return _HEX.sub(link, text) if explorer else text


def listed(lines: Sequence[str], explorer: str | None = None) -> Value:
    """Return lines as a list, the first of them where they are many.

    explorer: the URL of the block explorer of the chain that they are about.
    """
    shown = [
        f"- {linked(sanitized(line, _MAX_CHARACTERS), explorer)}" for line in lines[:_MAX_LISTED]
    ]
    if len(lines) > _MAX_LISTED:
        shown.append(f"- and {len(lines) - _MAX_LISTED} more")
    return dg.MetadataValue.md("\n".join(shown))
