"""The systemd units as systemd reads them: each with the drop-in that all share."""

import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
INSTALLED = "/opt/mmbot"  # where the units expect the project
COMMON = UNITS / "mmbot-.service.d" / "common.conf"

Unit = dict[str, list[str]]  # key: all values given to it, in order


def read(path: Path) -> Unit:
    """Read one file; no key of ours stands in two sections."""
    unit: Unit = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
    return unit


def services() -> dict[str, Unit]:
    """Return every service by its name, without ".service"."""
    return {path.stem: _with_common(read(path)) for path in sorted(UNITS.glob("*.service"))}


def _with_common(unit: Unit) -> Unit:
    common = read(COMMON)
    return {key: unit.get(key, []) + common.get(key, []) for key in {**unit, **common}}


def command(unit: Unit) -> list[str]:
    """Return what the unit runs."""
    (line,) = unit["ExecStart"]
    return shlex.split(line)
