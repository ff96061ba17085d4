"""make bench-runs: how soon a run's own work begins, on warm workers and with a process for each.

    python -m tests.bench.runs            # 20 orders each
    python -m tests.bench.runs 5 warm     # so many, with one of them

Orders come one by one, to a product that is idle. Each is counted from the tick that takes it for
a run (`asked_at`, by the code server's clock) to the start of the run's op (by the clock of the
process that executes it), both on this machine.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from mmbot_pipelines.adapters.db.engine import connect, transaction
from mmbot_pipelines.adapters.db.tables.orders import orders
from mmbot_pipelines.devnet.orders import burst
from tests.chaos.faulty_stack import FaultyStack
from tests.e2e.product import Product

LAUNCHERS = {"warm": {}, "cold": {"MMBOT_BROKER_URL": ""}}
_EVENTS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events {
    __typename ... on MessageEvent { timestamp } } } } } }"""
_TAKEN = select(orders.c.asked_at)
_LOOK_EVERY_SECONDS = 0.02
_PAUSE_SECONDS = 1.7  # against falling into step with ticks and blocks


def main(count: int, launchers: list[str]) -> None:
    for launcher in launchers:
        home = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
        try:
            with FaultyStack(
                home, origins=("zksync",), nodes=1, chains=[], settings=LAUNCHERS[launcher]
            ) as stack:
                product = Product(stack)
                product.await_completed(product.place(burst(stack.deployment, 1, seed=99)))
                taken = sorted(_begins_after(product, seed) for seed in range(count))
        finally:
            shutil.rmtree(home, ignore_errors=True)
        median, p95 = statistics.median(taken), taken[int(0.95 * (count - 1))]
        print(
            f"{launcher}: tick to op start, {count} orders: median {median:.2f} s, p95 {p95:.2f} s"
        )
        print(f"(load {os.getloadavg()[0]:.1f})", flush=True)


def _begins_after(product: Product, seed: int) -> float:
    """Place an order; return the seconds from the tick that takes it to the start of its op."""
    time.sleep(_PAUSE_SECONDS)
    (key,) = product.place(burst(product.stack.deployment, 1, seed=seed))
    engine = connect(product.stack.database_url)
    asked = None
    while asked is None:  # it is gone again when the run has decided
        with transaction(engine) as connection:
            query = _TAKEN.where(orders.c.number == int(key.partition(":")[2]))
            asked = connection.execute(query).scalar_one_or_none()
        time.sleep(_LOOK_EVERY_SECONDS)
    engine.dispose()
    product.await_completed([key])
    (run,) = [run for run in product.runs(order=key) if run["jobName"] == "fill_orders"]
    events = product.ask(_EVENTS, id=run["runId"])["runOrError"]["eventConnection"]["events"]
    (begun,) = [e for e in events if e["__typename"] == "ExecutionStepStartEvent"]
    return float(begun["timestamp"]) / 1000 - float(asked.timestamp())


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20, sys.argv[2:] or list(LAUNCHERS))
