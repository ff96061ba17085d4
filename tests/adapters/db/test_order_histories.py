"""Whatever is done to orders in any order, each has a legal history and no nonce twice."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count, pairwise

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore, Cursor, OrderFilter, Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import ConcurrentUpdate, IllegalTransition
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block, TxState
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    TOP,
    a_bump,
    a_transaction,
    add_scan,
    change,
    decide,
    held,
    later,
    lost,
    mined,
    put_step,
    relocate,
    reopen,
    rewind,
    take,
)

NUMBERS = st.sampled_from([0, TOP])
AMOUNTS = st.sampled_from([0, 10**16, TOP])
WORDS = st.text(max_size=8)
ALL = list(Status)
AGES = st.sampled_from([0, 0, 0, 1])
_examples = count(1)

Deed = Callable[["ChainHarness", BridgeStore], object]


class ChainHarness:
    """An origin and a wallet of their own, so that one database serves all examples."""

    def __init__(self, number: int) -> None:
        self.origin = f"origin{number}"
        self.wallet = Address(f"0x{number:040x}")

    def order(self, number: int, amount: int) -> Order:
        return an_order(number, origin=self.origin, amount=amount)

    def read(self, store: BridgeStore, number: int, age: int) -> Order:
        """Return an order as it is, or as somebody read it `age` changes ago."""
        (order,) = store.orders.get([f"{self.origin}:{number}"]) or [
            an_order(404, origin=self.origin)
        ]
        return replace(order, version=max(0, order.version - age))


def adding(numbers: list[int], amount: int, last: int, message: str) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        fault = Fault(
            subject=f"{chain_harness.origin} log", step="scan", kind="Malformed", message=message
        )
        found = [chain_harness.order(number, amount) for number in numbers]
        scan = Scan(last=Block(last, "0x"), orders=found, faults=[fault])
        return add_scan(store, chain_harness.origin, Cursor.LATEST, scan, at=NOON, run_id="scan")

    return do


def stepping(number: int, chosen: int, age: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        order = chain_harness.read(store, number, age)
        facts = [fact for status, fact in NEXT if status is order.status] or [Fact.SENT]
        fact = facts[chosen % len(facts)]
        return change(store, order, order.after(fact, at=NOON), run_id="step", at=NOON)

    return do


def failing(number: int, why: str, failed: bool, parked: bool) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        order = chain_harness.read(store, number, 0)
        then = NOON + later(30) if failed and not parked else None
        after = order.with_failure(why, failed=failed, next_attempt_at=then)
        fault = Fault(subject=order.key, step="step", kind="Stop", message=why)
        return change(store, order, after, run_id="fail", at=NOON, fault=fault)

    return do


def clearing(number: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        order = chain_harness.read(store, number, 0)
        return change(store, order, order.with_failures_cleared(), run_id="person", at=NOON)

    return do


def sending(numbers: list[int], age: int, chain_nonce: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        wanted = [chain_harness.read(store, number, age) for number in numbers]
        with held(store, CHAIN, chain_harness.wallet) as (uow, lane):
            for order in uow.orders.lock(wanted):
                if (order.status, Fact.SENT) not in NEXT:
                    continue
                nonce = lane.next_nonce(chain_nonce)
                purpose = "claim" if order.status is Status.FULFILLED else "transfer"
                sent = a_transaction(order, nonce, purpose=purpose, wallet=chain_harness.wallet)
                after = order.after(Fact.SENT, at=NOON, tx=sent.hash)
                put_step(uow, lane, order, after, sent, "send")
            return lane.in_flight()

    return do


def deciding(fact: Fact, age: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        mine = [t for t in store.outbox.in_flight() if t.wallet == chain_harness.wallet]
        for sent in mine[:1]:
            before = chain_harness.read(store, int(sent.subject.split(":")[1]), age)
            outcome = lost(sent) if fact is Fact.LOST else mined(sent, succeeded=fact is Fact.MINED)
            after = before.after(fact, at=NOON)
            decide(store, outcome, before, after, run_id="decide", at=NOON)
        return len(mine)

    return do


def replacing(which: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        mine = [t for t in store.outbox.in_flight() if t.wallet == chain_harness.wallet]
        with held(store, CHAIN, chain_harness.wallet) as (_uow, lane):
            for sent in mine[which : which + 1]:
                lane.add_replacement(a_bump(sent, lane.next_bump(sent.nonce)))
            return lane.in_flight()

    return do


def reopening(number: int, age: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        before = chain_harness.read(store, number, age)
        facts = [
            f for f in (Fact.TRANSFER_REORGED, Fact.CLAIM_REORGED) if (before.status, f) in NEXT
        ]
        rows = [t for t in store.outbox.of(before.key) if t.state is not TxState.STORED]
        for row in rows[-1:]:
            after = before.after(facts[0], at=NOON) if facts else None
            reopen(
                store, row, before if facts else None, after, run_id="reopen", at=NOON + later(3)
            )
        return len(rows)

    return do


def relocating(number: int, amount: int, age: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        before = chain_harness.read(store, number, age)
        reported = replace(
            before.after(Fact.REEMITTED, at=NOON), amount=Wei(amount), fee=Wei(amount)
        )
        fault = Fault(subject=before.key, step="scan", kind="Reorged", message="relocated")
        return relocate(store, before, reported, run_id="scan", at=NOON, fault=fault)

    return do


def rewinding(to: int | None) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        seen = store.orders.cursor(chain_harness.origin, Cursor.LATEST) or Block(404, "0x")
        back = None if to is None else Block(to, "0xback")
        return rewind(store, chain_harness.origin, Cursor.LATEST, seen, back)

    return do


def asking(statuses: list[Status], seconds: int) -> Deed:
    def do(chain_harness: ChainHarness, store: BridgeStore) -> object:
        at = NOON + later(seconds)
        return take(store, statuses, chain_harness.origin, at=at, retake_after_seconds=20)

    return do


DEEDS = st.one_of(
    st.builds(adding, st.lists(NUMBERS), AMOUNTS, st.integers(0, 9), WORDS),
    st.builds(stepping, NUMBERS, st.integers(0, 2), AGES),
    st.builds(failing, NUMBERS, WORDS, st.booleans(), st.booleans()),
    st.builds(clearing, NUMBERS),
    st.builds(sending, st.lists(NUMBERS, unique=True), AGES, st.integers(0, 5)),
    st.builds(deciding, st.sampled_from([Fact.MINED, Fact.REVERTED, Fact.LOST]), AGES),
    st.builds(replacing, st.integers(0, 2)),
    st.builds(reopening, NUMBERS, AGES),
    st.builds(relocating, NUMBERS, st.sampled_from([1, 2]), AGES),
    st.builds(rewinding, st.none() | st.integers(0, 9)),
    st.builds(asking, st.just(ALL) | st.lists(st.sampled_from(Status)), st.integers(0, 30)),
)


@given(deeds=st.lists(DEEDS, min_size=10, max_size=40))
@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # shrinking on a database takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_is_done_to_orders_their_history_is_legal(
    store: BridgeStore, deeds: list[Deed]
) -> None:
    chain_harness = ChainHarness(next(_examples))
    everything = adding([0, TOP], 10**16, 0, "first")
    for deed in [everything, *deeds]:
        with suppress(ConcurrentUpdate, IllegalTransition):
            deed(chain_harness, store)
    assert_legal(chain_harness, store)


def assert_legal(chain_harness: ChainHarness, store: BridgeStore) -> None:
    for order in store.orders.find(OrderFilter(origin=chain_harness.origin)):
        history = store.orders.history(order.key)
        assert history[0].before is None
        assert history[-1].after is order.status
        for entry, following in pairwise(history):
            assert following.before is entry.after
            allowed = {NEXT.get((entry.after, fact)) for fact in Fact} | {entry.after}
            assert following.after in allowed
        nonces = [(t.nonce, t.bump) for t in store.outbox.of(order.key)]
        assert len(nonces) == len(set(nonces))
