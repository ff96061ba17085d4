"""Which metrics and labels a PromQL expression names, as far as our own files use PromQL."""

import re
from collections.abc import Iterator

_METRIC = re.compile(r"\b(mmbot_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_STRING = re.compile(r'"[^"]*"')


def used(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric with the labels that its own braces name."""
    for name, braces in _METRIC.findall(expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", _STRING.sub("", braces)))


def grouped(expression: str) -> set[str]:
    """Return the labels that aggregations and matchings name."""
    lists = [re.split(r"[\s,]+", names.strip()) for names in _GROUPED.findall(expression)]
    return {name for names in lists for name in names if name}
