"""make bench-slices: what a run of many orders takes in one process, on local chains and Postgres.

Each line is one run of that many orders: their transfers, then their claims. The nodes are on
this machine, so what requests to them cost is their number and not the seconds.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import running
from tests.ports.port_harness import on_anvil

_SIZES = (1, 25, 300)
_COLUMNS = ("wall s", "CPU s", "lane s", "requests", "statements", "lane holds")


@dataclass
class Meter:
    """What this process asks for, and how long it holds the wallet's lane."""

    requests: int = 0
    statements: int = 0
    holds: int = 0
    lane_seconds: float = 0.0


def main(sizes: Sequence[int]) -> None:
    """Print one line a run."""
    folder = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
    try:
        url = embedded.embedded_url(folder / "data")
        migrate.upgrade(url)
        with running() as devnet, on_anvil(devnet) as ports:
            engine = connect(url)
            bridge = AnvilBridge(ports, engine)
            print(f"load {os.getloadavg()[0]:.1f}")
            print(
                f"{'':22}{'wall s':>8}{'CPU s':>8}{'lane s':>8}{'requests':>10}{'statements':>12}"
            )
            with metered(engine) as meter:
                _pass(bridge, meter, 1, shown=False)  # what is done once is done
                for size in sizes:
                    _pass(bridge, meter, size)
            engine.dispose()
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)


def _pass(bridge: AnvilBridge, meter: Meter, size: int, *, shown: bool = True) -> None:
    keys = bridge.find(size, amount=10**15, fee=10**16)
    for name, step, reached in (
        ("transfer", bridge.transfer, Status.TRANSFERRING),
        ("claim", bridge.repay, Status.PROVING),
    ):
        line = _measured(meter, partial(step, keys))
        found = bridge.store.orders.get(keys)
        assert {order.status for order in found} == {reached}, found
        mined = _measured(meter, partial(_mine, bridge))
        if shown:
            print(f"{name:12}{size:6}{line}\n  mined{size:11}{mined}")
    assert not bridge.store.orders.find(OrderFilter(failed=True))


def _mine(bridge: AnvilBridge) -> None:
    """Make blocks until all is mined, and read the receipts."""
    while bridge.store.outbox.in_flight():
        bridge.mine()


def _measured(meter: Meter, step: Callable[[], None]) -> str:
    wall, cpu, before = time.monotonic(), time.process_time(), replace(meter)
    step()
    counted = (
        meter.requests - before.requests,
        meter.statements - before.statements,
        meter.holds - before.holds,
    )
    seconds = (
        time.monotonic() - wall,
        time.process_time() - cpu,
        meter.lane_seconds - before.lane_seconds,
    )
    return "".join([*(f"{n:12.2f}" for n in seconds), *(f"{n:12}" for n in counted)])


@contextmanager
def metered(engine: Engine) -> Iterator[Meter]:
    """Count requests to nodes, statements, and the time in which the lane is held."""
    meter, ask, lock = Meter(), Node.ask, threading.Lock()

    def counting(node: Node, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        with lock:
            meter.requests += 1
        return ask(node, rpc_calls)

    def executed(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        meter.statements += 1
        # the safety states are locked after it
        if "pg_advisory_xact_lock" in statement and "held since" not in connection.info:
            meter.holds += 1
            connection.info["held since"] = time.monotonic()

    def ended(connection: Connection) -> None:
        if since := connection.info.pop("held since", None):
            meter.lane_seconds += time.monotonic() - since

    heard = (("after_cursor_execute", executed), ("commit", ended), ("rollback", ended))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Node, "ask", counting)
        for name, hear in heard:
            event.listen(engine, name, hear)
        yield meter
        for name, hear in heard:
            event.remove(engine, name, hear)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or _SIZES)
