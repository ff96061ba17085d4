"""make bench: what every tick, the lane and a scrape take at 1 k, 100 k and 1 M stored orders.

Each figure is the median of some looks, as a ratio to that of the smallest store in the
same run: the machine's own speed matters little.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.urls import store_url
from tests.bench.stored import store
from tests.bench.ticks import Desk

_SIZES = (1_000, 100_000, 1_000_000)
_LOOKS = 7


def main(sizes: tuple[int, ...]) -> None:
    """Print one line a tick."""
    folder = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
    try:
        server = embedded.embedded_url(folder / "data")
        took = {size: _measure(server, size) for size in sizes}
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)
    least = took[sizes[0]]
    print(f"{'':24}" + "".join(f"{size:>22,}" for size in sizes))
    for name, first in least.items():
        cells = [
            f"{took[size][name] * 1000:9.1f} ms {took[size][name] / first:7.2f}x" for size in sizes
        ]
        print(f"{name:24}" + "".join(f"{cell:>22}" for cell in cells))


def _measure(server: str, size: int) -> dict[str, float]:
    """Return the seconds that each part takes on a store of so many orders."""
    name = f"bench_{size}"
    admin = create_engine(store_url(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    migrate.upgrade(url)
    engine = connect(url)
    started = time.monotonic()
    store(engine, size)
    print(f"{size:,} orders stored in {time.monotonic() - started:.0f} s", file=sys.stderr)
    desk = Desk(engine)
    looks: dict[str, list[float]] = {}
    for _ in range(_LOOKS):
        for part, do in desk.parts().items():
            begun = time.perf_counter()
            do()
            looks.setdefault(part, []).append(time.perf_counter() - begun)
    engine.dispose()
    return {part: statistics.median(taken) for part, taken in looks.items()}


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or _SIZES)
