"""Orders at a steady rate for minutes: does a backlog grow, does memory?"""

import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mmbot_pipelines.devnet.stack import Stack
from tests.bench.cpu import cpu_seconds, memory_bytes, pids
from tests.bench.figures import Figure
from tests.bench.observer import Observer, SeenOrder

_WARM_UP_SECONDS = 60.0
_MEMORY_EVERY_SECONDS = 10.0
_SETTLE_SECONDS = 300.0
_MB = 2**20


@dataclass
class Users:
    """Set an order every so many seconds, in a thread."""

    observer: Observer
    every: float
    orders: list[SeenOrder] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self.every
            self.orders.append(self.observer.submit())


def sustained(
    observer: Observer, stack: Stack, at: str, *, per_second: float, seconds: float
) -> Iterator[Figure]:
    """Yield the figures of orders at this rate for so long, with L1 blocks of 2 s.

    What starts within the first minute is warm-up: backlog and memory are counted after it.
    """
    users = Users(observer, 1 / per_second)
    begun, cpu = time.monotonic(), cpu_seconds(pids(stack))
    backlog: list[tuple[float, float]] = []  # seconds since the beginning, orders
    memory: list[tuple[float, float]] = []  # seconds since the beginning, MB
    users.start()
    while (now := time.monotonic() - begun) < seconds:
        observer.look(_MEMORY_EVERY_SECONDS)
        if now < _WARM_UP_SECONDS:
            continue
        waiting = [order for order in list(users.orders) if order.set_at and not order.transfer_at]
        backlog.append((now, len(waiting)))
        if not memory or now - memory[-1][0] >= _MEMORY_EVERY_SECONDS:
            memory.append((now, memory_bytes(pids(stack)) / _MB))
            print(
                f"{at}: {now:.0f} s, {len(users.orders)} orders set, {len(waiting)} not paid yet, "
                f"{memory[-1][1]:.0f} MB",
                file=sys.stderr,
            )
    users.stop()
    observer.await_claims(users.orders, _SETTLE_SECONDS)
    name = f"{at}: {per_second:g} orders/s for {seconds / 60:g} minutes"
    taken = sorted(order.transfer_at - order.set_at for order in users.orders)
    p95 = taken[int(0.95 * (len(taken) - 1))]
    yield Figure(name=f"{name}, p95 set to transfer", value=p95, unit="s", at_most=6)
    growth = _per_minute(backlog)
    yield Figure(name=f"{name}, backlog grows", value=growth, unit="/min", at_most=per_second)
    used = (cpu_seconds(pids(stack)) - cpu) / len(users.orders)
    yield Figure(name=f"{name}, CPU an order", value=used, unit="s")
    yield Figure(name=f"{name}, memory", value=memory[-1][1], unit="MB")
    yield Figure(name=f"{name}, memory grows", value=_per_minute(memory), unit="MB/min")


def _per_minute(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through the samples."""
    times, values = zip(*samples, strict=True)
    return 60 * statistics.linear_regression(times, values).slope
