"""Sensors that wait in their ticks hold up nothing else."""

import signal
import time
from typing import Any

import psutil

from tests.e2e.product import Product

_SENSORS = """{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
    repositoryLocationName: "mmbot"}) { ... on Sensors { results { name minIntervalSeconds
    sensorState { ticks(limit: 4) { status timestamp endTimestamp } } } } } }"""
_STOP_SECONDS = 60


def ticks(product: Product) -> dict[str, list[dict[str, Any]]]:
    """Return the last ticks of every sensor, newest first."""
    sensors = product.ask(_SENSORS)["sensorsOrError"]["results"]
    return {sensor["name"]: sensor["sensorState"]["ticks"] for sensor in sensors}


def test_every_sensor_ticks_beside_those_that_wait(product: Product) -> None:
    begun, end = time.time(), time.monotonic() + 300
    while True:
        # Each has begun a tick since: those that wait have left threads to the others.
        late = {
            name
            for name, newest in ticks(product).items()
            if not newest or newest[0]["timestamp"] <= begun
        }
        if not late:
            break
        assert time.monotonic() < end, f"no tick of {late}"
        time.sleep(0.5)
    names = set(ticks(product))
    assert {"zksync_orders", "zksync_orders_2", "l1_receipts", "l1_receipts_2"} <= names
    assert {"safety", "alerts", "daemons", "failed_runs"} <= names


def test_nodes_announce_what_is_new(product: Product) -> None:
    logged = product.stack.log("code").read_text()
    for chain in ("L1", "zksync"):
        assert f"{chain}: node 127.0.0.1:" in logged
    assert "announces what is new" in logged
    assert "announces nothing" not in logged


def test_the_daemon_stops_while_sensors_wait(product: Product) -> None:
    daemon = product.stack.services["daemon"]
    process = psutil.Process(daemon.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(_STOP_SECONDS)  # raises where it lasts longer
