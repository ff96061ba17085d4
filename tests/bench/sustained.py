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
_MAX_GROWTH = 1.0  # MB a minute, of some 900: what cannot be told from noise in half an hour


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


@dataclass(frozen=True, kw_only=True)
class _Steady:
    """What was seen of orders at a steady rate, after the warm-up."""

    orders: list[SeenOrder]
    backlog: list[tuple[float, float]]  # seconds since the beginning, orders
    memory: list[tuple[float, float]]  # seconds since the beginning, MB
    cpu: float  # seconds in all


def sustained(
    observer: Observer, stack: Stack, at: str, *, per_second: float, seconds: float
) -> Iterator[Figure]:
    """Yield the figures of orders at this rate for so long, with L1 blocks of 2 s."""
    seen = _steady(observer, stack, at, per_second, seconds, warm_up=_WARM_UP_SECONDS)
    name = f"{at}: {per_second:g} orders/s for {seconds / 60:g} minutes"
    taken = sorted(order.transfer_at - order.set_at for order in seen.orders)
    p95 = taken[int(0.95 * (len(taken) - 1))]
    yield Figure(name=f"{name}, p95 set to transfer", value=p95, unit="s", at_most=6)
    growth = _per_minute(seen.backlog)
    yield Figure(name=f"{name}, backlog grows", value=growth, unit="/min", at_most=per_second)
    yield Figure(name=f"{name}, CPU an order", value=seen.cpu / len(seen.orders), unit="s")
    yield Figure(name=f"{name}, memory", value=seen.memory[-1][1], unit="MB")


def memory(
    observer: Observer, stack: Stack, at: str, *, per_second: float, seconds: float
) -> Iterator[Figure]:
    """Yield what all processes hold at the end, and how it grew in the last two thirds."""
    seen = _steady(observer, stack, at, per_second, seconds, warm_up=seconds / 3)
    name = f"{at}: memory under {per_second:g} order/s for {seconds / 60:g} minutes"
    yield Figure(name=name, value=seen.memory[-1][1], unit="MB")
    growth = _per_minute(seen.memory)
    yield Figure(name=f"{name}, grows", value=growth, unit="MB/min", at_most=_MAX_GROWTH)


def _steady(
    observer: Observer, stack: Stack, at: str, per_second: float, seconds: float, *, warm_up: float
) -> _Steady:
    """Let orders be set at this rate for so long, and wait for their claims."""
    users = Users(observer, 1 / per_second)
    begun, cpu = time.monotonic(), cpu_seconds(pids(stack))
    backlog, held = list[tuple[float, float]](), list[tuple[float, float]]()
    users.start()
    while (now := time.monotonic() - begun) < seconds:
        observer.look(_MEMORY_EVERY_SECONDS)
        if now < warm_up:
            continue
        waiting = [order for order in list(users.orders) if order.set_at and not order.transfer_at]
        backlog.append((now, len(waiting)))
        if not held or now - held[-1][0] >= _MEMORY_EVERY_SECONDS:
            held.append((now, memory_bytes(pids(stack)) / _MB))
            print(
                f"{at}: {now:.0f} s, {len(users.orders)} orders set, {len(waiting)} not paid yet, "
                f"{held[-1][1]:.0f} MB",
                file=sys.stderr,
            )
    users.stop()
    observer.await_claims(users.orders, _SETTLE_SECONDS)
    cpu = cpu_seconds(pids(stack)) - cpu
    return _Steady(orders=users.orders, backlog=backlog, memory=held, cpu=cpu)


def _per_minute(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through the samples."""
    times, values = zip(*samples, strict=True)
    return 60 * statistics.linear_regression(times, values).slope
