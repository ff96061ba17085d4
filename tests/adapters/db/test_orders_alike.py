"""The stores in memory and in Postgres return the same after any sequence of calls."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.lifecycle import NEXT, Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor, OrderFilter, Orders, Scan
from mmbot_pipelines.core.errors import ConcurrentUpdate, IllegalTransition
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Block, TxState
from tests.bridge.orders import NOON, an_order
from tests.ports.orders_memory import OrdersMemory
from tests.ports.store_writes import CHAIN, TOP, a_bump, a_transaction, later, lost, mined

NUMBERS = st.sampled_from([0, TOP])
AMOUNTS = st.sampled_from([0, 10**16, TOP])
WORDS = st.text(max_size=8)
ALL = list(Status)
AGES = st.sampled_from([0, 0, 0, 1])
_examples = count(1)

Deed = Callable[["Example", Orders], object]


class Example:
    """An origin and a wallet of their own, so that one database serves all examples."""

    def __init__(self, number: int) -> None:
        self.origin = f"origin{number}"
        self.wallet = Address(f"0x{number:040x}")

    def order(self, number: int, amount: int) -> Order:
        return an_order(number, origin=self.origin, amount=amount)

    def read(self, store: Orders, number: int, age: int) -> Order:
        """Return an order as it is, or as somebody read it `age` changes ago."""
        (order,) = store.get([f"{self.origin}:{number}"]) or [an_order(404, origin=self.origin)]
        return replace(order, version=max(0, order.version - age))


def adding(numbers: list[int], amount: int, last: int, message: str) -> Deed:
    def do(example: Example, store: Orders) -> object:
        fault = Fault(
            subject=f"{example.origin} log", step="scan", kind="Malformed", message=message
        )
        found = [example.order(number, amount) for number in numbers]
        scan = Scan(last=Block(last, "0x"), orders=found, faults=[fault])
        return store.add(example.origin, Cursor.LATEST, scan, at=NOON, run_id="scan")

    return do


def stepping(number: int, chosen: int, age: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        order = example.read(store, number, age)
        facts = [fact for status, fact in NEXT if status is order.status] or [Fact.SENT]
        fact = facts[chosen % len(facts)]
        return store.change(order, order.after(fact, at=NOON), run_id="step", at=NOON)

    return do


def failing(number: int, why: str, failed: bool, parked: bool) -> Deed:
    def do(example: Example, store: Orders) -> object:
        order = example.read(store, number, 0)
        then = NOON + later(30) if failed and not parked else None
        after = order.with_failure(why, failed=failed, next_attempt_at=then)
        fault = Fault(subject=order.key, step="step", kind="Stop", message=why)
        return store.change(order, after, run_id="fail", at=NOON, fault=fault)

    return do


def clearing(number: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        order = example.read(store, number, 0)
        return store.change(order, order.with_failures_cleared(), run_id="person", at=NOON)

    return do


def sending(numbers: list[int], age: int, chain_nonce: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        wanted = [example.read(store, number, age) for number in numbers]
        with store.lane(CHAIN, example.wallet) as lane:
            for order in lane.lock_orders(wanted):
                if (order.status, Fact.SENT) not in NEXT:
                    continue
                nonce = lane.next_nonce(chain_nonce)
                purpose = "claim" if order.status is Status.FULFILLED else "transfer"
                sent = a_transaction(order, nonce, purpose=purpose, wallet=example.wallet)
                after = order.after(Fact.SENT, at=NOON, tx=sent.hash)
                lane.store(order, after, sent, "send")
            return lane.in_flight()

    return do


def deciding(fact: Fact, age: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        mine = [t for t in store.in_flight() if t.wallet == example.wallet]
        for sent in mine[:1]:
            before = example.read(store, int(sent.subject.split(":")[1]), age)
            outcome = lost(sent) if fact is Fact.LOST else mined(sent, succeeded=fact is Fact.MINED)
            after = before.after(fact, at=NOON)
            store.decide(outcome, before, after, run_id="decide", at=NOON)
        return len(mine)

    return do


def replacing(which: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        mine = [t for t in store.in_flight() if t.wallet == example.wallet]
        with store.lane(CHAIN, example.wallet) as lane:
            for sent in mine[which : which + 1]:
                lane.replace(a_bump(sent, lane.next_bump(sent.nonce)))
            return lane.in_flight()

    return do


def reopening(number: int, age: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        before = example.read(store, number, age)
        facts = [
            f for f in (Fact.TRANSFER_REORGED, Fact.CLAIM_REORGED) if (before.status, f) in NEXT
        ]
        rows = [t for t in store.transactions(before.key) if t.state is not TxState.STORED]
        for row in rows[-1:]:
            after = before.after(facts[0], at=NOON) if facts else None
            store.reopen_nonce(
                row, before if facts else None, after, run_id="reopen", at=NOON + later(3)
            )
        return len(rows)

    return do


def relocating(number: int, amount: int, age: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        before = example.read(store, number, age)
        reported = replace(
            before.after(Fact.REEMITTED, at=NOON), amount=Wei(amount), fee=Wei(amount)
        )
        fault = Fault(subject=before.key, step="scan", kind="Reorged", message="relocated")
        return store.relocate(before, reported, run_id="scan", at=NOON, fault=fault)

    return do


def rewinding(to: int | None) -> Deed:
    def do(example: Example, store: Orders) -> object:
        seen = store.cursor(example.origin, Cursor.LATEST) or Block(404, "0x")
        back = None if to is None else Block(to, "0xback")
        return store.rewind(example.origin, Cursor.LATEST, seen, back)

    return do


def asking(statuses: list[Status], seconds: int) -> Deed:
    def do(example: Example, store: Orders) -> object:
        at = NOON + later(seconds)
        return store.take_for_run(statuses, example.origin, at=at, retake_after_seconds=20)

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


@pytest.fixture
def postgres(database_url: str) -> Iterator[PgOrders]:
    engine = connect(database_url)
    yield PgOrders(engine)
    engine.dispose()


@given(deeds=st.lists(DEEDS, min_size=10, max_size=40))
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # shrinking on a database takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_both_stores_return_the_same(postgres: PgOrders, deeds: list[Deed]) -> None:
    example, memory = Example(next(_examples)), OrdersMemory()
    everything = adding([0, TOP], 10**16, 0, "first")
    for deed in [everything, *deeds]:
        assert done(deed, example, postgres) == done(deed, example, memory)
    reported = everything_about(example, postgres)
    assert reported == everything_about(example, memory)
    assert_legal(example, postgres)


def done(deed: Deed, example: Example, store: Orders) -> object:
    try:
        return deed(example, store)
    except (ConcurrentUpdate, IllegalTransition) as e:
        return type(e), str(e).split(":")[0]


def everything_about(example: Example, store: Orders) -> list[object]:
    keys = [f"{example.origin}:{number}" for number in (0, TOP)]
    return [
        store.get(keys),
        store.find(OrderFilter(origin=example.origin)),
        store.find(OrderFilter(origin=example.origin, failed=True, limit=1)),
        store.unfinished(example.origin, max_orders=9),
        store.claimed(example.origin, max_orders=9),
        store.newest_not_final(example.origin, max_orders=9),
        [o for o in store.due(at=NOON + later(60)) if o.origin == example.origin],
        [t for t in store.in_flight() if t.wallet == example.wallet],
        store.cursor(example.origin, Cursor.LATEST),
        store.errors(f"{example.origin} log"),
        *([store.history(k), store.errors(k), store.transactions(k)] for k in keys),
    ]


def assert_legal(example: Example, store: Orders) -> None:
    for order in store.find(OrderFilter(origin=example.origin)):
        history = store.history(order.key)
        assert history[0].before is None
        assert history[-1].after is order.status
        for entry, following in pairwise(history):
            assert following.before is entry.after
            allowed = {NEXT.get((entry.after, fact)) for fact in Fact} | {entry.after}
            assert following.after in allowed
        nonces = [(t.nonce, t.bump) for t in store.transactions(order.key)]
        assert len(nonces) == len(set(nonces))
