"""What is written to the terminal, with nothing from a chain taken for a command.

Rich would read markup, and the terminal escape codes, in a revert reason that a
stranger's contract chose.
"""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mmbot_pipelines.core.money import format_ether

if TYPE_CHECKING:  # `mmbot --help` loads no settings
    from mmbot_pipelines.settings import Database

_PIPED_WIDTH = 1000  # columns: nothing is cut where no terminal sets the width
_WEI_PER_GWEI = 10**9
NOT_SENT = "all is decided and simulated, nothing is signed or sent"


def console(*, stderr: bool = False) -> Console:
    """Return the terminal, or a wide page where the output goes elsewhere."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else _PIPED_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def acted_on(database: "Database", *, stderr: bool = False) -> None:
    """Name the database that a command has read or changed, without its password.

    stderr: keep the line out of what another program reads.
    """
    from mmbot_pipelines.settings import load_dry_run  # noqa: PLC0415

    out = console(stderr=stderr)
    out.print(plain(f"database: {database.description}"), soft_wrap=True)
    if load_dry_run():
        out.print(plain(f"MMBOT_DRY_RUN is true: {NOT_SENT}"), style="bold yellow", soft_wrap=True)


def plain(text: str) -> Text:
    """Return text from outside as what it is, unprintable characters replaced."""
    return Text(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def eth(wei: int) -> str:
    """Return an exact, short amount for tables: "0.05 ETH", "1 wei"."""
    return f"{wei} wei" if 0 < wei < _WEI_PER_GWEI else format_ether(wei).partition(" (")[0]


def format_duration(seconds: float) -> str:
    """Return a duration in its largest unit: "3 min"."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def format_utc(at: datetime) -> str:
    """Write a point in time in UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
