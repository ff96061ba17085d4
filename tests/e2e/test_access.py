"""Who can reach the running product, and where its ticks leave their logs."""

from collections.abc import Iterator

import psutil
import pytest
import requests

from mmbot_pipelines.defs.shared.dagster_internals import TICK_LOGS
from mmbot_pipelines.settings import KEYS
from tests.e2e.product import Product


def listening(product: Product) -> Iterator[tuple[int, str]]:
    """Yield port and address of all that the services, the chains and their children serve."""
    for child in psutil.Process().children(recursive=True):
        try:
            reported = f"{child.environ()} {child.cmdline()}"
            if str(product.stack.home) not in reported and child.name() != "anvil":
                continue
            for connection in child.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    yield connection.laddr.port, connection.laddr.ip.removeprefix("::ffff:")
        except psutil.Error:
            continue  # a run that ended just now


def test_everything_listens_on_the_loopback_alone(product: Product) -> None:
    found = dict(listening(product))
    assert {product.stack.ui_port, product.stack.code_port} <= set(found)
    assert len(found) >= 4  # and two chains
    assert set(found.values()) == {"127.0.0.1"}


def test_only_the_code_server_and_the_workers_have_keys(product: Product) -> None:
    holders = set()
    for service in product.stack.services.services:
        # Where setproctitle is installed, a worker's title covers its environment in /proc.
        if KEYS & {*service.environ, *psutil.Process(service.pid).environ()}:
            holders.add(service.name)
    assert holders == {"code", "workers"}


def test_a_foreign_page_is_not_answered(product: Product) -> None:
    page = {"Origin": "http://evil.example"}
    mutation = {"query": "mutation { setNuxSeen }"}
    ui = f"{product.stack.ui}/graphql"
    assert requests.post(ui, json=mutation, headers=page, timeout=120).status_code == 403
    assert requests.get(ui, params=mutation, timeout=120).status_code == 405
    assert requests.get(ui, headers={"Host": "evil.example"}, timeout=120).status_code == 403


@pytest.mark.usefixtures("completed")
def test_ticks_leave_their_logs_where_the_cleanup_looks(product: Product) -> None:
    folder = product.stack.dagster_home / "storage" / TICK_LOGS
    # One of the two sensors that take turns has found the order, and said so.
    assert list(folder.glob("zksync_orders*/*"))
