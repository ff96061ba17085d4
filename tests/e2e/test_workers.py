"""Warm workers and their broker go away under the running product."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmbot_pipelines.devnet.orders import burst
from tests.chaos.faults import run_processes
from tests.e2e.product import Product
from tests.e2e.test_outages import ticks

NO_RUN = "no run can start"


def test_broker_and_workers_are_killed_in_a_burst(product: Product) -> None:
    services = product.stack.services
    keys = product.place(burst(product.stack.deployment, 30, seed=41))
    product.await_all(keys, lambda _: True)  # all are stored, none has gone its way
    for pid in run_processes(product.stack):
        os.kill(pid, signal.SIGKILL)
    services["broker"].kill()
    more = product.place(burst(product.stack.deployment, 4, seed=42))
    services["workers"].kill()
    product.await_completed([*keys, *more], seconds=400)
    product.check_invariants()


def test_a_broker_that_is_away_is_one_alert_and_loses_nothing(product: Product) -> None:
    before = [run["runId"] for run in product.runs(origin="zksync")]
    with paused(product.stack.services["broker"].pid):
        shown = await_alert(product, lambda text: NO_RUN in text)
        assert shown.count(NO_RUN) == 1
        keys = product.place(burst(product.stack.deployment, 2, seed=43))
        product.await_all(keys, lambda _: True)
        await_tick(product, "zksync_orders", "does not answer")
        assert [run["runId"] for run in product.runs(origin="zksync")] == before
    product.await_completed(keys)
    assert [product.store.errors.of(key) for key in keys] == [[], []]
    await_alert(product, lambda text: NO_RUN not in text)
    product.check_invariants()


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Let a process hang: what asks it gets no answer."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def await_alert(product: Product, wanted: Callable[[str], bool]) -> str:
    """Return what the sensor `alerts` shows, once it is as it should be."""
    end = time.monotonic() + 300
    while True:
        shown = ticks(product, "alerts")[0]["skipReason"] or ""
        if shown and wanted(shown):
            return shown
        assert time.monotonic() < end, ticks(product, "alerts")[:3]
        time.sleep(0.5)


def await_tick(product: Product, sensor: str, part: str) -> None:
    """Wait until the newest ticks of a sensor give a reason."""
    end = time.monotonic() + 300
    while not any(part in (t["skipReason"] or "") for t in ticks(product, sensor)[:3]):
        assert time.monotonic() < end, ticks(product, sensor)[:3]
        time.sleep(0.5)
