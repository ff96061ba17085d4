"""An origin is named in its own files and in one line of the registry, and nowhere else."""

import re
from pathlib import Path

from mmbot_pipelines.bridge.orders.origins import ORIGINS

PACKAGE = Path(__file__).parents[1] / "mmbot_pipelines"

# The one line of each, and applied migrations, which nobody changes.
REGISTRY = ("bridge/orders/origins.py", "adapters/db/migrations/")

# The adapters of a chain are no origin: other applications may use it. And a name that
# dashboards know, as the database does.
ELSEWHERE = re.compile(r"mmbot_pipelines\.adapters\.starknet\b|\bstarknet_fees(_fri)?\b")


def own(path: str, origin: str) -> bool:
    """Return whether a folder or module of the path has the origin's name."""
    return any(part == origin or part.startswith(f"{origin}_") for part in re.split(r"[/.]", path))


def test_no_origin_is_named_outside_its_files_and_the_registry() -> None:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        path = str(file.relative_to(PACKAGE))
        if path.startswith(("devnet/", *REGISTRY)):
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            named = ELSEWHERE.sub("", line).lower()
            found += [
                f"{path}:{number}: {line.strip()}"
                for origin in ORIGINS
                if origin in named and not own(path, origin)
            ]
    assert found == []


def test_every_origin_has_its_files() -> None:
    for origin in ORIGINS:
        for room in ("adapters/bridge", "wiring/origins", "settings/bridge", "cli/doctor"):
            place = PACKAGE / room / origin
            assert place.is_dir() or place.with_suffix(".py").is_file(), f"{room} lacks {origin}"
