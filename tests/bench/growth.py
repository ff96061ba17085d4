"""make bench-growth: ticks, a scrape and the database at 1 k, 100 k and 1 M stored orders.

The last column is 100 k orders that ended, with each backlog of 100 k beside them: see BACKLOGS.

Each figure is the median of some looks, as a ratio to that of the smallest store in the
same run: the machine's own speed matters little.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.urls import store_url
from tests.bench.stored import BACKLOGS, store, store_backlog
from tests.bench.ticks import BenchBridge

_SIZES = (1_000, 100_000, 1_000_000)
_ROWS = 100_000
_POLLS = 7
_SIZE = text("SELECT pg_database_size(current_database())")


def main(sizes: tuple[int, ...]) -> None:
    """Print one line a tick, and the size of the database."""
    folder = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
    try:
        server = embedded.embedded_url(folder / "data")
        stores = {f"{size:,}": _prepare(server, size) for size in sizes}
        stores["backlogs"] = _prepare(server, _ROWS, BACKLOGS)
        sizes_mb = {name: _megabytes(engine) for name, engine in stores.items()}
        took = _measure(stores)
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)
    load = os.getloadavg()[0]
    print(f"{f'load {load:.1f}':24}" + "".join(f"{name:>22}" for name in took))
    for name, first in took[f"{sizes[0]:,}"].items():
        cells = [f"{of[name] * 1000:9.1f} ms {of[name] / first:7.2f}x" for of in took.values()]
        print(f"{name:24}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"{'database':24}" + "".join(f"{f'{mb:,.0f} MB':>22}" for mb in sizes_mb.values()))


def _prepare(server: str, size: int, backlogs: Iterable[str] = ()) -> Engine:
    """Return a store of `size` orders and backlogs."""
    name = f"bench_{size}_backlogs" if backlogs else f"bench_{size}"
    admin = create_engine(store_url(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    migrate.upgrade(url)
    engine = connect(url)
    started = time.monotonic()
    store(engine, size)
    for kind in backlogs:
        store_backlog(engine, kind, _ROWS)
    print(f"{name}: stored in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return engine


def _megabytes(engine: Engine) -> float:
    with engine.connect() as connection:
        return float(connection.execute(_SIZE).scalar_one()) / 2**20


def _measure(stores: Mapping[str, Engine]) -> dict[str, dict[str, float]]:
    """Return the seconds that each part takes on each store.

    The stores take turns, so that other work on this machine slows all of them.
    """
    bridges = {name: BenchBridge(engine) for name, engine in stores.items()}
    looks: dict[str, dict[str, list[float]]] = {name: {} for name in stores}
    for _ in range(_POLLS):
        for name, bridge in bridges.items():
            for part, do in bridge.parts().items():
                begun = time.perf_counter()
                do()
                looks[name].setdefault(part, []).append(time.perf_counter() - begun)
    for engine in stores.values():
        engine.dispose()
    return {
        name: {part: statistics.median(taken) for part, taken in of.items()}
        for name, of in looks.items()
    }


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or _SIZES)
