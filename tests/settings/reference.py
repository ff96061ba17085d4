"""Write docs/settings.md: every setting, from the settings' classes and .env.example.

`make settings` runs it. What a setting means stands in .env.example alone; whether it is needed,
and what it is where it is left out, stands in the classes.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic_core import PydanticUndefined

from mmbot_pipelines.settings import KEYS, SECTIONS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / ".env.example"
REFERENCE = ROOT / "docs" / "settings.md"

_HEADING = re.compile(r"# -+ (?P<name>.+?) -+")
_INTRODUCTION = """\
# Settings

The environment is read once, at start. `mmbot doctor` checks every setting against the database,
the nodes and the contracts. Amounts are whole wei. A setting left empty counts as not set. Copy
`.env.example`, which has the same texts.

**needed**: the bot does not start without it, where its part is used (an origin that
`MMBOT_ORIGINS` names, one of the four places of a key). **secret**: it moves money; only the code
server and the workers may have it.

<!-- Written by `make settings` from the settings' classes and .env.example. -->"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    defaults = dict(_defaults())
    text: list[str] = []
    lines: list[str] = []
    for line in EXAMPLE.read_text().splitlines():
        if heading := _HEADING.fullmatch(line):
            yield f"\n## {heading['name'].partition(':')[0]}\n"
            yield "| setting | default | what it is |\n|---|---|---|"
            text = lines = []
        elif not line:
            lines = []
        elif line.startswith("#"):
            lines.append(line.removeprefix("#").strip())
        elif "=" in line:
            name = line.partition("=")[0]
            marks = " **secret**" if name in KEYS else ""
            text, lines = lines or text, []  # two may share one text
            yield f"| `{name}`{marks} | {defaults[name]} | {_cell(text)} |"


def _cell(text: list[str]) -> str:
    return " ".join(text).replace("|", "\\|").replace("<", "&lt;").removeprefix("... ")


def _defaults() -> Iterator[tuple[str, str]]:
    for section in SECTIONS:
        for field in section.model_fields.values():
            if field.alias is None:
                continue
            yield field.alias, _shown(field.default)


def _shown(default: object) -> str:
    if default is PydanticUndefined:
        return "needed"
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    REFERENCE.write_text(reference())
