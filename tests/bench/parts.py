"""The parts of `make bench`: each yields what it measured, as figures with the issue's floors."""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmbot_pipelines.devnet.stack import Stack
from tests.bench import gas
from tests.bench.cpu import cpu_rate, cpu_seconds, pids
from tests.bench.figures import Figure, median_to_broadcast, median_to_claim, median_to_transfer
from tests.bench.idle import idle
from tests.bench.observer import Observer, SeenOrder
from tests.bench.outage import outage
from tests.bench.stacks import product, serial_chains
from tests.bench.sustained import memory, sustained

QUICK = bool(os.environ.get("BENCH_QUICK"))
_SINGLES, _BURST, _LARGE_BURST = (3, 30, 60) if QUICK else (20, 30, 300)
_BLOCK_SECONDS = (2, 12)
# The quick form is CI's: a block more is allowed, and seconds are not judged.
_BURST_BLOCKS = (2, 3) if QUICK else (1, 2)
_WAIT_SECONDS = 300.0
_IDLE_SECONDS = 120.0
_ALONE_SECONDS = 5.0 if QUICK else 30.0  # how long the product is watched before its first order
_SAVED_GAS = 30.0  # per cent of v1's


@dataclass(kw_only=True)
class Part:
    """What is measured now: L1's block time, and how long a steady rate lasts."""

    seconds: int = 2
    minutes: float
    singles: dict[str, list[SeenOrder]] = field(default_factory=dict)  # filled while it runs

    @property
    def at(self) -> str:
        return f"L1 {self.seconds} s"


Measure = Callable[[Part], Iterator[Figure]]


def _singles(part: Part) -> Iterator[Figure]:
    """Single orders of ours beside those of the serial bot, and the CPU they take."""
    at = part.at
    with serial_chains(part.seconds) as observer:
        theirs = place_singles(observer, part.seconds, f"serial, {at}")
    with product(part.seconds) as (observer, stack):
        observer.await_claims(observer.place(2), _WAIT_SECONDS)  # starts what starts once
        yield from _our_singles(part, observer, stack)
    ours = part.singles[at]
    part.singles[f"serial, {at}"] = theirs
    for name, median in (
        (f"{at}: single order, set to transfer broadcast", median_to_broadcast),
        (f"{at}: single order, set to claim mined", median_to_claim),
    ):
        yield Figure(name=f"{name}, of serial", value=median(ours) / median(theirs), unit="x")
    ratio = median_to_transfer(ours) / median_to_transfer(theirs)
    name = f"{at}: single order, set to transfer mined, of serial"
    yield Figure(name=name, value=ratio, unit="x", at_most=0.6)


def _our_singles(part: Part, observer: Observer, stack: Stack) -> Iterator[Figure]:
    at = part.at
    idle_rate = cpu_rate(pids(stack), _ALONE_SECONDS)
    before, begun = cpu_seconds(pids(stack)), time.monotonic()
    part.singles[at] = ours = place_singles(observer, part.seconds, at)
    cpu = (cpu_seconds(pids(stack)) - before) / len(ours)
    of_idle = idle_rate * (time.monotonic() - begun) / len(ours)
    name = f"{at}: single order, set to transfer mined"
    seconds = median_to_transfer(ours)
    yield Figure(name=name, value=seconds, unit="s", at_most=part.seconds / 2 + 1)
    name = f"{at}: single order, set to transfer broadcast"
    yield Figure(name=name, value=median_to_broadcast(ours), unit="s")
    name = f"{at}: single order, set to claim mined"
    yield Figure(name=name, value=median_to_claim(ours), unit="s")
    next_block = 100 * statistics.mean(o.claim_block - o.transfer_block <= 1 for o in ours)
    name = f"{at}: claim in the block after the transfer or in it"
    yield Figure(name=name, value=next_block, unit="%", at_least=95)
    # What runs without any order has a floor of its own, and grows with the wait for blocks.
    name = f"{at}: CPU of a single order"
    yield Figure(
        name=f"{name}, beside the idle product's", value=cpu - of_idle, unit="s", at_most=0.8
    )
    yield Figure(name=f"{name}, with the idle product's", value=cpu, unit="s")


def _bursts(part: Part) -> Iterator[Figure]:
    """Many orders in one block of the L2."""
    with product(part.seconds) as (observer, stack):
        observer.await_claims(observer.place(2), _WAIT_SECONDS)
        yield from _burst_and_large_burst(part, observer, stack)


def _burst_and_large_burst(part: Part, observer: Observer, stack: Stack) -> Iterator[Figure]:
    at = part.at
    before = cpu_seconds(pids(stack))
    orders = observer.place(_BURST)
    observer.await_claims(orders, _WAIT_SECONDS)
    cpu = (cpu_seconds(pids(stack)) - before) / len(orders)
    yield from _burst(at, orders)
    yield Figure(name=f"{at}: CPU an order of {_BURST}", value=cpu, unit="s", at_most=0.1)
    orders = observer.place(_LARGE_BURST)
    observer.await_claims(orders, 2 * _WAIT_SECONDS)
    name = f"{at}: burst of {_LARGE_BURST}, transfers"
    at_most = 2 if part.seconds > 2 else None
    blocks = _span(o.transfer_block for o in orders)
    yield Figure(name=name, value=blocks, unit="blocks", at_most=at_most)
    last = max(o.claim_at - o.set_at for o in orders)
    yield Figure(name=f"{at}: burst of {_LARGE_BURST}, last claim", value=last, unit="s")


def _quick(part: Part) -> Iterator[Figure]:
    """What CI judges, on one product: single orders and bursts, without the serial bot."""
    with product(part.seconds) as (observer, stack):
        observer.await_claims(observer.place(2), _WAIT_SECONDS)
        yield from _our_singles(part, observer, stack)
        yield from _burst_and_large_burst(part, observer, stack)


def _with_transfer(part: Part) -> Iterator[Figure]:
    """Claims that go out behind their transfers."""
    label = f"{part.at}, with_transfer"
    with product(part.seconds, {"MMBOT_CLAIM": "with_transfer"}) as (observer, _):
        observer.await_claims(observer.place(1), _WAIT_SECONDS)  # follows its transfer
        part.singles[label] = ours = place_singles(observer, part.seconds, label)
    same = 100 * statistics.mean(o.claim_block == o.transfer_block for o in ours)
    yield Figure(name=f"{label}: claim in its transfer's block", value=same, unit="%", at_least=95)
    name = f"{label}: single order, set to claim mined"
    yield Figure(name=name, value=median_to_claim(ours), unit="s")


def _sustained(part: Part) -> Iterator[Figure]:
    """5 orders a second."""
    with product(part.seconds) as (observer, stack):
        yield from sustained(observer, stack, part.at, per_second=5, seconds=60 * part.minutes)


def _memory(part: Part) -> Iterator[Figure]:
    """What all processes hold, under an order a second for half an hour."""
    with product(part.seconds) as (observer, stack):
        yield from memory(observer, stack, part.at, per_second=1, seconds=60 * part.minutes)


def _default_launcher(part: Part) -> Iterator[Figure]:
    """Runs that start a process each: reported, not judged."""
    label = f"{part.at}, default launcher"
    with product(part.seconds, {"MMBOT_BROKER_URL": ""}) as (observer, _):
        observer.await_claims(observer.place(2), _WAIT_SECONDS)
        part.singles[label] = ours = place_singles(observer, part.seconds, label)
        medians = {"transfer": median_to_transfer(ours), "claim": median_to_claim(ours)}
        for what, median in medians.items():
            name = f"{label}: single order, set to {what} mined"
            yield Figure(name=name, value=median, unit="s")
        orders = observer.place(_BURST)
        observer.await_claims(orders, _WAIT_SECONDS)
        yield from (replace(f, at_most=None) for f in _burst(label, orders))


def _outage(_: Part) -> Iterator[Figure]:
    """30 seconds without a node of L1, in a burst of 30."""
    took = outage(0)  # at once: all transfers of a burst go out together, in a second
    print(took, file=sys.stderr)
    last, *_others = took.values()
    name = "L1 2 s: burst of 30, 30 s without L1, then the last transfer"
    yield Figure(name=name, value=last, unit="s", at_most=10)


def _idle(_: Part) -> Iterator[Figure]:
    """CPU and RPC calls while nothing happens."""
    used, calls = idle(("zksync",), _IDLE_SECONDS)
    name = "idle, zkSync: CPU a minute"
    yield Figure(name=name, value=sum(used.values()), unit="s", at_most=6)
    for chain, count in calls.items():
        name = f"idle, zkSync: RPC calls a minute to {chain}"
        yield Figure(name=name, value=count, unit="", at_most=60)


def _gas(_: Part) -> Iterator[Figure]:
    """L1 gas of an order, by the way it is claimed."""
    rows = list(gas.measured())
    for origin in sorted({row.origin for row in rows}):
        of_v1, best = gas.compared([row for row in rows if row.origin == origin])
        name = f"{origin}: L1 gas of an order, v1 one by one"
        yield Figure(name=name, value=of_v1.total, unit="gas")
        name = f"{origin}: the same, best of {best.orders} ({best.way})"
        yield Figure(name=name, value=best.total, unit="gas")
        saved = 100 * (of_v1.total - best.total) / of_v1.total
        yield Figure(name=f"{name}, below v1", value=saved, unit="%", at_least=_SAVED_GAS)


# By name, with the block times of L1 at which it is measured, and its minutes at a steady rate.
PARTS: Mapping[str, tuple[Measure, Sequence[int], float]] = {
    "singles": (_singles, _BLOCK_SECONDS, 0),
    "bursts": (_bursts, _BLOCK_SECONDS, 0),
    "with_transfer": (_with_transfer, _BLOCK_SECONDS, 0),
    "outage": (_outage, (2,), 0),
    "idle": (_idle, (2,), 0),
    "gas": (_gas, (2,), 0),
    "default_launcher": (_default_launcher, (2,), 0),
    "sustained": (_sustained, (2,), 5),
    "memory": (_memory, (2,), 30),
}
QUICK_PARTS: Mapping[str, tuple[Measure, Sequence[int], float]] = {
    "quick": (_quick, (2,), 0),
    "with_transfer": (_with_transfer, (2,), 0),
}


def place_singles(
    observer: Observer, seconds: int, label: str, count: int = _SINGLES
) -> list[SeenOrder]:
    """Place orders one after the other, each at a random time within a block of L1."""
    rng = random.Random(seconds)
    found = []
    for number in range(count):
        print(f"{label}: single order {number + 1} of {count}", file=sys.stderr)
        time.sleep(rng.uniform(0, seconds))
        orders = observer.place(1)
        observer.await_claims(orders, _WAIT_SECONDS)
        found += orders
    return found


def _burst(at: str, orders: Sequence[SeenOrder]) -> Iterator[Figure]:
    name = f"{at}: burst of {len(orders)}"
    for what, blocks, at_most in (
        ("transfers", _span(o.transfer_block for o in orders), _BURST_BLOCKS[0]),
        ("claims", _span(o.claim_block for o in orders), _BURST_BLOCKS[1]),
    ):
        yield Figure(name=f"{name}, {what}", value=blocks, unit="blocks", at_most=at_most)
    first = min(o.transfer_at - o.set_at for o in orders)
    within = 2.5 if at.startswith("L1 2 s") else None
    yield Figure(name=f"{name}, first transfer", value=first, unit="s", at_most=within)
    last = max(o.claim_at - o.set_at for o in orders)
    yield Figure(name=f"{name}, last claim", value=last, unit="s")


def _span(blocks: Iterator[int]) -> int:
    """Return how many blocks there are from the first to the last, both counted."""
    numbers = list(blocks)
    return max(numbers) - min(numbers) + 1
