"""What goes away under a running product, and what is there twice."""

import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.core.errors import StoreUnavailable
from mmbot_pipelines.devnet.orders import OrderSpec, burst
from mmbot_pipelines.devnet.supervision import Service
from tests.chaos.faulty_rpc import Fault
from tests.e2e.product import Product

_TICKS = """query ($sensor: String!) { sensorOrError(sensorSelector: {sensorName: $sensor,
    repositoryName: "__repository__", repositoryLocationName: "mmbot"}) {
    ... on Sensor { sensorState { ticks(limit: 200) {
        skipReason error { message } } } } } }"""


def ticks(product: Product, sensor: str) -> list[dict[str, Any]]:
    """Return a sensor's newest ticks as the UI shows them, newest first."""
    answer = product.ask(_TICKS, sensor=sensor)
    found: list[dict[str, Any]] = answer["sensorOrError"]["sensorState"]["ticks"]
    return found


def test_postgres_is_killed_in_the_middle_of_a_burst(product: Product) -> None:
    keys = product.place(burst(product.stack.deployment, 30, seed=21))
    product.await_all(keys, lambda _: True)  # all are stored, none has gone its way
    for _ in range(3):
        kill_postgres(product)
    product.await_completed(keys, seconds=400)
    product.check_invariants()


def kill_postgres(product: Product) -> None:
    """Kill the server with SIGKILL, and wait until another one answers."""
    postmaster = product.stack.postmaster
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    end = time.monotonic() + 300
    while True:
        try:
            product.orders([])
        except StoreUnavailable:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            if product.stack.postmaster != postmaster:
                return


@pytest.mark.timeout(700)
def test_an_origin_that_is_away_stops_no_other_and_loses_no_order(product: Product) -> None:
    (node,) = product.stack.nodes["STARKNET"]
    node.fail(Fault.DROP)
    try:
        unseen = product.place(small(product, "starknet", seed=23))
        others = product.place(small(product, "zksync", seed=24))
        product.await_completed(others)
        line = await_error(product, "starknet_orders", "RpcUnavailable")
        assert product.orders(unseen) == []
    finally:
        node.fail(Fault.NONE)
    assert "no RPC node of starknet answered: 127.0.0.1:" in line
    assert [product.store.errors.of(key) for key in others] == [[]] * len(others)
    product.await_completed(unseen)
    product.check_invariants()


def small(product: Product, origin: str, *, seed: int) -> list[OrderSpec]:
    """Make up orders that are paid while an origin is THROTTLED, too."""
    order_specs = burst(product.stack.deployment, 2, seed=seed)
    return [replace(one, origin=origin, amount=10**16) for one in order_specs]


def await_error(product: Product, sensor: str, kind: str, seconds: float = 300) -> str:
    """Return the line that the UI shows of such an error of a sensor's newest failed ticks."""
    end = time.monotonic() + seconds
    while True:
        shown = [tick["error"]["message"] for tick in ticks(product, sensor) if tick["error"]]
        lines = [line for message in shown for line in message.splitlines() if kind in line]
        if lines:
            return str(lines[0])
        assert time.monotonic() < end, shown[:3]
        time.sleep(0.5)


@pytest.mark.timeout(700)
def test_a_second_daemon_by_mistake_is_reported(product: Product) -> None:
    stack = product.stack
    first = stack.services["daemon"]
    second = Service("second daemon", first.command, stack.log("second_daemon"))
    second.start(stack.environ)
    try:
        keys = product.place(burst(stack.deployment, 10, seed=22))
        product.await_completed(keys)
        end = time.monotonic() + 300
        while not (logged := [t["skipReason"] for t in ticks(product, "daemons") if reported(t)]):
            assert time.monotonic() < end, ticks(product, "daemons")[:3]
            time.sleep(1)
        assert "2 daemons are at work at once" in logged[0]
    finally:
        second.ask_to_stop()
        second.await_end(time.monotonic() + 120)
    product.check_invariants()


def reported(tick: dict[str, Any]) -> bool:
    return "two bots on one database" in (tick["skipReason"] or "")
