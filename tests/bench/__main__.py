"""make bench: how soon orders are paid and claimed, beside a bot that does one thing at a time.

    python -m tests.bench                 # everything, an hour
    BENCH_QUICK=1 python -m tests.bench   # a few orders, under 3 minutes
    python -m tests.bench singles --l1 12 # one part, with blocks of 12 s
    python -m tests.bench sustained --minutes 30

Everything is real: the whole product, Postgres, local chains with interval mining, an L2 with a
block a second. Times are taken on the chains, from the order's L2 block to the L1 block with its
transfer or claim. Seconds are this machine's; ratios and blocks are the result.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import deploy_all
from mmbot_pipelines.devnet.stack import Stack
from tests.bench.cpu import cpu_seconds, pids
from tests.bench.figures import Figure, machine, median_to_claim, median_to_transfer, write
from tests.bench.idle import idle
from tests.bench.observer import Observer, SeenOrder
from tests.bench.outage import outage
from tests.bench.serial_bot import SerialBot
from tests.bench.sustained import sustained

QUICK = bool(os.environ.get("BENCH_QUICK"))
SINGLES, BURST, LARGE_BURST = (3, 30, 60) if QUICK else (20, 30, 300)
BLOCK_SECONDS = (2,) if QUICK else (2, 12)
# The quick form is CI's: a block more is allowed, and seconds are not judged.
BURST_BLOCKS = (2, 3) if QUICK else (1, 2)
_OF_CHAINS = ("blocks", "%")  # units
_WAIT_SECONDS = 300.0
_L2_BLOCK_SECONDS = 1


PARTS = ("singles", "with_transfer", "sustained", "default_launcher", "outage", "idle")


def main() -> None:
    """Measure, print the table, write JSON and picture; exit with 1 where a floor is not met."""
    parser = argparse.ArgumentParser(description="Measure the product beside a serial baseline.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--l1", type=int, nargs="*", metavar="SECONDS", help="block times of L1")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path(".mmbot/bench"))
    parser.add_argument("--minutes", type=float, help="of the steady rate: 5 by default")
    given = parser.parse_args()
    parts = given.parts or (("singles", "with_transfer") if QUICK else PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    figures: list[Figure] = []
    taken: dict[str, list[SeenOrder]] = {}
    try:
        for figure in measured(parts, given.l1 or BLOCK_SECONDS, given.minutes or 5, taken):
            print(figure.line(), flush=True)
            figures.append(figure)
    finally:
        write(given.out, figures, taken)
    print(f"{machine()}; all of it is in {given.out}")
    decisive = [f for f in figures if not QUICK or f.unit in _OF_CHAINS]
    sys.exit(any(figure.missed for figure in decisive))


def measured(
    parts: Collection[str],
    block_seconds: Sequence[int],
    minutes: float,
    taken: dict[str, list[SeenOrder]],
) -> Iterator[Figure]:
    """Yield the figures of these parts; put into `taken` how long single orders took."""
    for seconds in block_seconds:
        at = f"L1 {seconds} s"
        if "singles" in parts:
            with serial_chains(seconds) as observer:
                taken[f"serial, {at}"] = baseline = singles(observer, seconds, f"serial, {at}")
            with product(seconds) as (observer, stack):
                observer.await_claims(observer.place(2), _WAIT_SECONDS)  # starts what starts once
                before = cpu_seconds(pids(stack))
                taken[at] = ours = singles(observer, seconds, at)
                cpu = (cpu_seconds(pids(stack)) - before) / len(ours)
                yield from _singles(at, seconds, ours, baseline)
                yield Figure(name=f"{at}: CPU of a single order", value=cpu, unit="s", at_most=0.8)
                yield from bursts(observer, stack, seconds, at)
        if "with_transfer" in parts:
            with product(seconds, {"MMBOT_CLAIM": "with_transfer"}) as (observer, _):
                label = f"{at}, with_transfer"
                observer.await_claims(observer.place(1), _WAIT_SECONDS)  # follows its transfer
                taken[label] = ours = singles(observer, seconds, label)
                yield from _with_transfer(label, ours)
    if "sustained" in parts:
        with product(2) as (observer, stack):
            yield from sustained(observer, stack, "L1 2 s", per_second=5, seconds=60 * minutes)
    if "default_launcher" in parts:
        with product(2, {"MMBOT_BROKER_URL": ""}) as (observer, stack):
            label = "L1 2 s, default launcher"
            observer.await_claims(observer.place(2), _WAIT_SECONDS)
            taken[label] = ours = singles(observer, 2, label)
            medians = {"transfer": median_to_transfer(ours), "claim": median_to_claim(ours)}
            for what, median in medians.items():
                name = f"{label}: single order, set to {what} mined"
                yield Figure(name=name, value=median, unit="s")
            orders = observer.place(BURST)
            observer.await_claims(orders, _WAIT_SECONDS)
            yield from (replace(f, at_most=None) for f in _burst(label, orders))
    if "outage" in parts:
        _, (last, *_) = zip(*outage(1).items(), strict=True)
        name = "L1 2 s: burst of 30, 30 s without L1, then the last transfer"
        yield Figure(name=name, value=last, unit="s", at_most=10)
    if "idle" in parts:
        used, calls = idle(("zksync",), 120)
        yield Figure(
            name="idle, zkSync: CPU a minute", value=sum(used.values()), unit="s", at_most=6
        )
        for chain, count in calls.items():
            name = f"idle, zkSync: RPC calls a minute to {chain}"
            yield Figure(name=name, value=count, unit="", at_most=60)


def bursts(observer: Observer, stack: Stack, seconds: int, at: str) -> Iterator[Figure]:
    """Yield the figures of many orders in one block of the L2."""
    before = cpu_seconds(pids(stack))
    orders = observer.place(BURST)
    observer.await_claims(orders, _WAIT_SECONDS)
    yield from _burst(at, orders)
    cpu = (cpu_seconds(pids(stack)) - before) / len(orders)
    yield Figure(name=f"{at}: CPU an order of {BURST}", value=cpu, unit="s", at_most=0.1)
    orders = observer.place(LARGE_BURST)
    observer.await_claims(orders, 2 * _WAIT_SECONDS)
    blocks = _span(o.transfer_block for o in orders)
    yield Figure(
        name=f"{at}: burst of {LARGE_BURST}, transfers",
        value=blocks,
        unit="blocks",
        at_most=2 if seconds > 2 else None,
    )


def singles(observer: Observer, seconds: int, label: str) -> list[SeenOrder]:
    """Place orders one after the other, each at a random time within a block of L1."""
    rng = random.Random(seconds)
    found = []
    for number in range(SINGLES):
        print(f"{label}: single order {number + 1} of {SINGLES}", file=sys.stderr)
        time.sleep(rng.uniform(0, seconds))
        orders = observer.place(1)
        observer.await_claims(orders, _WAIT_SECONDS)
        found += orders
    return found


def _with_transfer(at: str, ours: Sequence[SeenOrder]) -> Iterator[Figure]:
    same = 100 * statistics.mean(o.claim_block == o.transfer_block for o in ours)
    yield Figure(name=f"{at}: claim in its transfer's block", value=same, unit="%", at_least=95)
    name = f"{at}: single order, set to claim mined"
    yield Figure(name=name, value=median_to_claim(ours), unit="s")


def _singles(
    at: str, seconds: int, ours: Sequence[SeenOrder], baseline: Sequence[SeenOrder]
) -> Iterator[Figure]:
    to_transfer, serial = median_to_transfer(ours), median_to_transfer(baseline)
    name = f"{at}: single order, set to transfer mined"
    yield Figure(name=name, value=to_transfer, unit="s", at_most=seconds / 2 + 1)
    ratio = to_transfer / serial
    yield Figure(name=f"{name}, of serial", value=ratio, unit="x", at_most=0.6)
    to_claim, theirs = median_to_claim(ours), median_to_claim(baseline)
    yield Figure(name=f"{at}: single order, set to claim mined", value=to_claim, unit="s")
    yield Figure(name=f"{at}: the same, of serial", value=to_claim / theirs, unit="x")
    next_block = statistics.mean(o.claim_block - o.transfer_block <= 1 for o in ours)
    yield Figure(
        name=f"{at}: claim in the block after the transfer or in it",
        value=100 * next_block,
        unit="%",
        at_least=95,
    )


def _burst(at: str, orders: Sequence[SeenOrder]) -> Iterator[Figure]:
    name = f"{at}: burst of {len(orders)}"
    transfers = _span(o.transfer_block for o in orders)
    claims = _span(o.claim_block for o in orders)
    first = min(o.transfer_at - o.set_at for o in orders)
    yield Figure(name=f"{name}, transfers", value=transfers, unit="blocks", at_most=BURST_BLOCKS[0])
    yield Figure(name=f"{name}, claims", value=claims, unit="blocks", at_most=BURST_BLOCKS[1])
    at_most = 2.5 if "L1 2 s" in at else None
    yield Figure(name=f"{name}, first transfer", value=first, unit="s", at_most=at_most)
    last = max(o.claim_at - o.set_at for o in orders)
    yield Figure(name=f"{name}, last claim", value=last, unit="s")


def _span(blocks: Iterator[int]) -> int:
    """Return how many blocks there are from the first to the last, both counted."""
    numbers = list(blocks)
    return max(numbers) - min(numbers) + 1


@contextmanager
def serial_chains(seconds: int) -> Iterator[Observer]:
    """Start chains with the baseline on them."""
    with Anvil(chain_id=31337) as l1, Anvil(chain_id=31338) as l2:
        deployment = deploy_all(l1.url, l2.url)
        for chain, interval in ((l1, seconds), (l2, _L2_BLOCK_SECONDS)):
            ask(connect(chain.url), "evm_setIntervalMining", interval)
        with SerialBot(deployment), Observer(deployment) as observer:
            yield observer


@contextmanager
def product(
    seconds: int, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Observer, Stack]]:
    """Start the whole product."""
    with ExitStack() as cleanup:
        home = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        stack = cleanup.enter_context(
            Stack(
                home,
                l1_block_seconds=seconds,
                l2_block_seconds=_L2_BLOCK_SECONDS,
                settings=settings,
                log_start=lambda name: print(f"starting {name}", file=sys.stderr),
            )
        )
        yield cleanup.enter_context(Observer(stack.deployment)), stack


if __name__ == "__main__":
    main()
