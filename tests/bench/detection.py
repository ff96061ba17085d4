"""make bench-detection: how soon an order is found once its block is there.

    python -m tests.bench.detection 60     # orders, one a second

Measured from the L2 block until the order is stored (its first history row), and until Dagster
has created its run: no run begins here.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Any

from sqlalchemy import Engine, text

from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.orders import burst, submit
from tests.bench.figures import machine
from tests.bench.heads import Heads
from tests.bench.quiet_product import POLLING, QuietStack, quiet_stack

_EVERY_SECONDS = 1.0
_WARM_UP_SECONDS = 20.0
_WAIT_SECONDS = 120.0
# so that no order waits for the runs of earlier ones
_SETTINGS = {"MMBOT_MAX_RUNS_PER_TICK": "50"}
_STORED = """
    SELECT o.number, o.block_number, extract(epoch FROM e.at) AS at
    FROM mmbot.orders o JOIN mmbot.order_events e ON e.key = o.origin || ':' || o.number
    WHERE e.before IS NULL
"""
_REQUESTED = """
    SELECT run_body::json -> 'run_config' AS config,
        extract(epoch FROM create_timestamp AT TIME ZONE 'UTC') AS at
    FROM dagster.runs WHERE pipeline_name = 'fill_orders'
"""


def main(count: int) -> None:
    print(machine())
    for name, settings in {"polling": POLLING, "WebSocket": {}}.items():
        with quiet_stack(("zksync",), _SETTINGS | settings) as stack:
            stored, requested = _measure(stack, count)
        print(f"{name}: {_row('stored', stored)}; {_row('run created', requested)}", flush=True)
    print(machine())


def _row(name: str, seconds: Sequence[float]) -> str:
    p95 = quantiles(seconds, n=20)[-1]
    return f"{name} after {median(seconds):.3f} s (p95 {p95:.3f}, {len(seconds)} orders)"


def _measure(stack: QuietStack, count: int) -> tuple[list[float], list[float]]:
    engine, w3 = connect_database(stack.database_url), connect(stack.l2.url)
    with Heads(stack.l2.url) as heads:
        time.sleep(_WARM_UP_SECONDS)
        begun = time.monotonic()
        for number, order in enumerate(burst(stack.deployment, count, seed=1)):
            time.sleep(max(0.0, begun + number * _EVERY_SECONDS - time.monotonic()))
            submit(w3, stack.deployment.zksync, order)
        end = time.monotonic() + _WAIT_SECONDS
        while len(requested := _requested(engine)) < count:
            assert time.monotonic() < end, f"runs of {len(requested)} of {count} orders"
            time.sleep(1.0)
        epoch = time.time() - time.monotonic()
        with engine.connect() as connection:
            found = connection.execute(text(_STORED)).all()
        mined = {row.number: epoch + heads.at(row.block_number) for row in found}
    stored = [float(row.at) - mined[row.number] for row in found]
    return stored, [requested[f"zksync:{number}"] - at for number, at in mined.items()]


def _requested(engine: Engine) -> dict[str, float]:
    """Return when the first run of each order was created, in seconds since 1970."""
    with engine.connect() as connection:
        runs = connection.execute(text(_REQUESTED)).all()
    first: dict[str, float] = {}
    for config, at in sorted(runs, key=lambda run: -run.at):
        first |= dict.fromkeys(_keys(config), float(at))
    return first


def _keys(config: Mapping[str, Any]) -> list[str]:
    return list(config["ops"]["transfer"]["config"]["order_keys"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 60)
