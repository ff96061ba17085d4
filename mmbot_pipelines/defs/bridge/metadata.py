"""Amounts, problems and links as Dagster's metadata."""

from collections.abc import Mapping, Sequence

import dagster as dg

from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.text import sanitized

_MAX_LISTED = 20
_MAX_CHARACTERS = 400  # of a line
_WEI_PER_ETH = 10**18

Value = dg.MetadataValue


def amounts(given: Mapping[str, Wei]) -> dict[str, Value]:
    """Return each amount twice: in ETH as a float, which plots need, and in wei, exact."""
    values: dict[str, Value] = {}
    for name, wei in given.items():
        values[f"{name} (ETH)"] = dg.MetadataValue.float(wei / _WEI_PER_ETH)
        values[f"{name} (wei)"] = dg.MetadataValue.text(str(wei))
    return values


def listed(lines: Sequence[str]) -> Value:
    """Return lines as a list, the first of them where they are many."""
    shown = [f"- {sanitized(line, _MAX_CHARACTERS)}" for line in lines[:_MAX_LISTED]]
    if len(lines) > _MAX_LISTED:
        shown.append(f"- and {len(lines) - _MAX_LISTED} more")
    return dg.MetadataValue.md("\n".join(shown))
