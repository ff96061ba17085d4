"""Workers on a second machine: a folder and settings of its own, one database and one broker."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.orders import burst
from mmbot_pipelines.devnet.supervision import Service
from mmbot_pipelines.settings import load_broker
from mmbot_pipelines.wiring.shared import workers
from tests.chaos.faults import wait_until
from tests.e2e.product import Product
from tests.e2e.test_workers import paused

ORDERS = 6  # a run for each
_EXECUTED_BY = text("SELECT event FROM dagster.event_logs WHERE event LIKE '%(pid: %'")


@contextmanager
def second_machine(product: Product, folder: Path) -> Iterator[Service]:
    """Run workers with their own DAGSTER_HOME, which nobody starts again when they end."""
    folder.mkdir()
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", folder)
    stack = product.stack
    own = {"DAGSTER_HOME": str(folder), "MMBOT_DATABASE_URL": stack.database_url}
    machine = Service("second", stack.services["workers"].command, folder / "workers.log")
    machine.start(stack.environ | own)
    try:
        yield machine
    finally:
        machine.kill()
        machine.await_end(time.monotonic() + 120)


def alive(product: Product) -> list[str]:
    known = workers(load_broker(product.stack.environ))
    assert known is not None
    return known.alive()


def processes(machine: Service) -> list[int]:
    """Return the ids of what executes a machine's runs."""
    return [child.pid for child in psutil.Process(machine.pid).children()]


def executed_by(product: Product) -> set[int]:
    """Return the ids of all processes that have executed a run, as its events name them."""
    with create_engine(store_url(product.stack.database_url)).connect() as connection:
        events = connection.execute(_EXECUTED_BY).scalars()
        return {int(pid) for event in events for pid in re.findall(r"\(pid: (\d+)\)", event)}


def test_one_of_two_machines_is_killed_in_a_burst(product: Product, tmp_path: Path) -> None:
    first, deployment = product.stack.services["workers"], product.stack.deployment
    before = alive(product)
    with second_machine(product, tmp_path / "second") as second:
        assert wait_until(lambda: len(alive(product)) > len(before), seconds=300), (
            second.log.read_text()
        )
        its_own = set(processes(second))
        with paused(first.pid):  # what it takes meanwhile waits for it
            keys = product.place(burst(deployment, ORDERS, seed=61))
            assert wait_until(
                lambda: any(o.status is not Status.PENDING for o in product.orders(keys)),
                seconds=300,
                every=0.05,
            )
            keys += product.place(burst(deployment, ORDERS, seed=62))
            second.kill()
        product.await_completed(keys, seconds=400)
        assert its_own & executed_by(product)
        assert set(processes(first)) & executed_by(product)
    assert product.stack.services["workers"] is first
    product.check_invariants()
