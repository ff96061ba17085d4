"""How a store keeps safety states and adds up money: in memory and in Postgres."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.bridge.order import Fact, Order, Status
from mmbot_pipelines.bridge.ports import Fault
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, NotDecided, Standing, State, of
from tests.bridge.orders import NOON, an_order
from tests.ports.books import Books, in_memory, in_postgres
from tests.ports.writing import (
    CHAIN,
    OURS,
    THEIRS,
    a_transaction,
    add,
    later,
    lost,
    mined,
    put,
    send,
    step,
)

HOSTILE = "no\x00body \ud800 'quoted'"
COUNTED = [("transfer", "Reverted"), ("repay", "Lost")]
RICH, POOR = Address("0x" + "11" * 20), Address("0x" + "22" * 20)


@pytest.fixture(params=["memory", "postgres"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    if request.param == "memory":
        yield in_memory()
        return
    with in_postgres(request.getfixturevalue("database_url")) as books:
        yield books


def throttled(**changes: object) -> Standing:
    standing = Standing(
        scope=GLOBAL,
        state=State.THROTTLED,
        since=NOON,
        by="mmbot",
        why="slow",
        causes=frozenset({"failure rate", "lag"}),
        seen_at=NOON,
    )
    return replace(standing, **changes)


# states


def test_a_store_begins_without_states(books: Books) -> None:
    assert books.safety.standings() == []
    assert books.safety.changes(10) == []


def test_a_standing_comes_back_as_it_is(books: Books) -> None:
    written = books.safety.change(Standing(scope=GLOBAL), throttled(), at=NOON)
    assert written == throttled(version=1)
    resumed = throttled(resumed_at=NOON + later(1), causes=frozenset(), seen_at=None, version=1)
    again = books.safety.change(written, resumed, at=NOON + later(1))
    assert books.safety.standings() == [again] == [replace(resumed, version=2)]


def test_scopes_are_apart_and_in_order(books: Books) -> None:
    for scope in ("zksync", GLOBAL, "starknet"):
        books.safety.change(Standing(scope=scope), throttled(scope=scope), at=NOON)
    assert [s.scope for s in books.safety.standings()] == [GLOBAL, "starknet", "zksync"]


def test_only_what_tells_something_gets_a_row_of_history(books: Books) -> None:
    first = books.safety.change(Standing(scope=GLOBAL), throttled(), at=NOON)
    seen = books.safety.change(first, replace(first, seen_at=NOON + later(5)), at=NOON + later(5))
    assert seen.seen_at == NOON + later(5)
    safety.halt(books.safety, GLOBAL, by="Ann", reason=HOSTILE, at=NOON + later(9))
    newest, oldest = books.safety.changes(10)
    assert (oldest.before, oldest.after, oldest.by) == (State.NORMAL, State.THROTTLED, "mmbot")
    assert (newest.before, newest.after) == (State.THROTTLED, State.HALTED)
    assert (newest.by, newest.at, newest.scope) == ("Ann", NOON + later(9), GLOBAL)
    assert newest.why.startswith("no")
    assert "'quoted'" in newest.why
    assert books.safety.changes(1) == [newest]


def test_a_change_of_what_was_changed_since_writes_nothing(books: Books) -> None:
    never = Standing(scope=GLOBAL)
    first = books.safety.change(never, throttled(), at=NOON)
    for stale in (never, replace(first, version=7)):
        with pytest.raises(LostRace):
            books.safety.change(stale, throttled(why="late"), at=NOON)
    assert books.safety.standings() == [first]
    assert len(books.safety.changes(10)) == 1


def test_of_many_changes_at_once_one_wins(books: Books) -> None:
    def race(number: int) -> bool:
        try:
            books.safety.change(Standing(scope=GLOBAL), throttled(why=f"{number}"), at=NOON)
        except LostRace:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert books.safety.standings()[0].why == str(won.index(True))


# a person's word


def test_a_person_halts_and_resumes(books: Books) -> None:
    halted = safety.halt(books.safety, GLOBAL, by=" Ann\n Lee ", reason="a  look", at=NOON)
    assert (halted.state, halted.by, halted.why) == (State.HALTED, "Ann Lee", "a look")
    safety.halt(books.safety, GLOBAL, by="Bo", reason="me too", at=NOON + later(1))
    now = safety.resume(books.safety, GLOBAL, by="Bo", reason="fixed", at=NOON + later(2))
    assert (now.state, now.since, now.resumed_at) == (State.NORMAL, *[NOON + later(2)] * 2)
    assert [(c.by, c.after) for c in books.safety.changes(9)] == [
        ("Bo", State.NORMAL),
        ("Bo", State.HALTED),
        ("Ann Lee", State.HALTED),
    ]
    with pytest.raises(NotDecided, match="global is NORMAL, nothing to resume"):
        safety.resume(books.safety, GLOBAL, by="Bo", reason="again", at=NOON)


@pytest.mark.parametrize(
    ("by", "reason", "says"),
    [
        ("", "why", "a name"),
        (" \n", "why", "a name"),
        ("Ann", "", "a reason"),
        ("MMBot", "why", "the bot itself"),
        ("Ann", "x" * 501, "at most 500"),
    ],
)
def test_a_word_needs_a_name_and_a_reason(books: Books, by: str, reason: str, says: str) -> None:
    for decide in (safety.halt, safety.resume):
        with pytest.raises(NotDecided, match=says) as e:
            decide(books.safety, GLOBAL, by=by, reason=reason, at=NOON)
        assert "\n" not in str(e.value)
    assert books.safety.standings() == []


def test_who_resumes_the_wrong_scope_is_told_the_right_one(books: Books) -> None:
    safety.halt(books.safety, "zksync", by="Ann", reason="a look", at=NOON)
    with pytest.raises(NotDecided, match=r"zksync is HALTED since .* by Ann: a look"):
        safety.resume(books.safety, GLOBAL, by="Ann", reason="fixed", at=NOON)


# the lane


def test_a_halt_waits_for_who_is_signing_and_binds_the_next(books: Books) -> None:
    started = threading.Event()

    def halt() -> None:
        started.set()
        safety.halt(books.safety, GLOBAL, by="Ann", reason="a look", at=NOON)

    with ThreadPoolExecutor(1) as pool:
        with books.orders.lane(CHAIN, OURS) as lane:
            assert lane.standings() == []
            halting = pool.submit(halt)
            assert started.wait(10)
            with pytest.raises(TimeoutError):
                halting.result(0.2)
        halting.result(30)
    with books.orders.lane(CHAIN, OURS) as lane:
        assert of(lane.standings(), GLOBAL).state is State.HALTED


def processing(books: Books, *orders: Order) -> list[Order]:
    add(books.orders, *orders)
    return [step(books.orders, order, Fact.ACCEPTED) for order in orders]


def test_exposure_is_what_is_signed_and_not_yet_back(books: Books) -> None:
    assert books.accounts.exposure() == 0
    first, second, third = processing(books, *(an_order(n, amount=10**n) for n in (1, 2, 3)))
    sent = send(books.orders, first, second)
    assert books.accounts.exposure() == 110
    for transaction, fact in ((sent[0], Fact.MINED), (sent[1], Fact.REVERTED)):
        (order,) = books.orders.get([transaction.subject])
        outcome = mined(transaction, succeeded=fact is Fact.MINED)
        after = order.after(fact, at=NOON)
        books.orders.decide(outcome, order, after, run_id="run", at=NOON)
    assert books.accounts.exposure() == 10
    with books.orders.lane(CHAIN, OURS) as lane:
        put(lane, third, a_transaction(third, lane.next_nonce(0)))
        assert lane.exposure() == 1010  # its own writing included
        assert books.accounts.exposure() == 10
    (paid,) = books.orders.get([first.key])
    step(books.orders, paid, Fact.SETTLED)
    assert books.accounts.exposure() == 1000


def test_exposure_is_exact_for_the_largest_amounts(books: Books) -> None:
    top = 2**256 - 1
    many = processing(books, *(an_order(n, amount=top) for n in range(3)))
    for order in many:
        step(books.orders, order, Fact.PAID)
    assert books.accounts.exposure() == 3 * top


def test_transfers_are_summed_by_recipient_within_a_time(books: Books) -> None:
    many = processing(
        books,
        *(replace(an_order(n, amount=10**n), recipient=RICH if n % 2 else POOR) for n in range(6)),
    )
    with books.orders.lane(CHAIN, OURS) as lane:
        for nonce, order in enumerate(many):
            old = replace(a_transaction(order, nonce), stored_at=NOON + timedelta(hours=nonce))
            put(lane, order, old)
        assert lane.paid_since(NOON + timedelta(hours=3)) == {POOR: 10**4, RICH: 10**5}
    sent = books.orders.in_flight()
    books.orders.decide(mined(sent[5], succeeded=False), None, None, run_id="run", at=NOON)
    books.orders.decide(lost(sent[4]), None, None, run_id="run", at=NOON)
    books.orders.decide(mined(sent[3]), None, None, run_id="run", at=NOON)
    with books.orders.lane(CHAIN, OURS) as lane:
        everything = lane.paid_since(NOON - timedelta(hours=1))
        assert everything == {POOR: 10**0 + 10**2, RICH: 10**1 + 10**3}
    with books.orders.lane(CHAIN, THEIRS) as lane:  # after a change of the key
        assert lane.paid_since(NOON - timedelta(hours=1)) == everything


def test_a_claim_is_no_transfer(books: Books) -> None:
    (order,) = processing(books, an_order(1))
    paid = step(books.orders, order, Fact.PAID)
    with books.orders.lane(CHAIN, OURS) as lane:
        put(lane, paid, a_transaction(paid, 0, purpose="repay"))
        assert lane.paid_since(NOON - timedelta(hours=1)) == {}


def test_orders_held_back_are_the_healthy_ones_with_a_reason(books: Books) -> None:
    orders = processing(books, *map(an_order, (3, 1, 2, 4)))
    for order in orders[:2]:
        books.orders.change(order, replace(order, reason="waits"), run_id="run", at=NOON)
    failing = orders[2].failing("no", failed=True, next_attempt_at=None)
    books.orders.change(orders[2], failing, run_id="run", at=NOON)
    with books.orders.lane(CHAIN, OURS) as lane:
        assert [o.number for o in lane.held_back("zksync")] == [1, 3]
        assert lane.held_back("starknet") == []


def test_a_reason_alone_does_not_ask_for_another_run(books: Books) -> None:
    (order,) = processing(books, an_order(1))

    def asked(seconds: float) -> int:
        at = NOON + later(seconds)
        return len(books.orders.ask([Status.PROCESSING], None, at=at, again_after=30))

    assert asked(0) == 1
    waits = books.orders.change(order, replace(order, reason="waits"), run_id="run", at=NOON)
    assert (waits.reason, waits.version) == ("waits", order.version + 1)
    assert len(books.orders.history(order.key)) == 2
    assert [asked(1), asked(30)] == [0, 1]


# how steps ended


def test_finished_steps_are_those_that_a_chain_proved_or_that_count(books: Books) -> None:
    def note(key: str, kind: str, seconds: float, step: str = "transfer") -> None:
        fault = Fault(subject=key, step=step, kind=kind, message="no")
        books.orders.note(fault, at=NOON + later(seconds), run_id="run")

    first, second = processing(books, an_order(1), an_order(2))
    for seconds, fact in ((10, Fact.PAID), (20, Fact.SENT), (30, Fact.MINED), (40, Fact.SETTLED)):
        at = NOON + later(seconds)
        first = books.orders.change(first, first.after(fact, at=at), run_id="run", at=at)
    failing = second.failing("no", failed=False, next_attempt_at=None)
    books.orders.change(second, failing, run_id="run", at=NOON + later(50))
    note(second.key, "Reverted", 25)
    note(second.key, "Reverted", 35, step="repay")
    note(second.key, "RevertForeseen", 45)
    note(second.key, "Lost", 60, step="repay")
    note(second.key, "Reverted", 40)

    def told(seconds: float | None, most: int = 99) -> list[tuple[str, float, bool]]:
        since = None if seconds is None else NOON + later(seconds)
        found = books.accounts.finished(COUNTED, since=since, most=most)
        return [(f.key, (f.at - NOON).total_seconds(), f.failed) for f in found]

    good, bad = first.key, second.key
    everything = [(bad, 60, True), (bad, 40, True), (good, 40, False), (good, 30, False)]
    everything += [(bad, 25, True), (good, 10, False)]
    assert told(None) == everything
    assert told(None, most=2) == everything[:2]
    assert told(30) == everything[:3]
