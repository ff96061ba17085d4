"""How safety states are stored."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.core import safety
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.safety import GLOBAL, InvalidDecision, ScopeState, State, state_of
from tests.bridge.orders import NOON
from tests.ports.store_writes import CHAIN, OURS, change_state, decided, held, later
from tests.ports.stores import Stores

HOSTILE = "no\x00body \ud800 'quoted'"


def throttled(**changes: object) -> ScopeState:
    scope_state = ScopeState(
        scope=GLOBAL,
        state=State.THROTTLED,
        since=NOON,
        by="mmbot",
        why="slow",
        causes=frozenset({"failure rate", "lag"}),
        seen_at=NOON,
    )
    return replace(scope_state, **changes)


# states


def test_a_store_begins_without_states(stores: Stores) -> None:
    assert stores.store.safety.scope_states() == []
    assert stores.store.safety.changes(10) == []


def test_a_standing_comes_back_as_it_is(stores: Stores) -> None:
    written = change_state(stores.store, ScopeState(scope=GLOBAL), throttled(), at=NOON)
    assert written == throttled(version=1)
    resumed = throttled(resumed_at=NOON + later(1), causes=frozenset(), seen_at=None, version=1)
    again = change_state(stores.store, written, resumed, at=NOON + later(1))
    assert stores.store.safety.scope_states() == [again] == [replace(resumed, version=2)]


def test_scopes_are_apart_and_in_order(stores: Stores) -> None:
    for scope in ("zksync", GLOBAL, "starknet"):
        change_state(stores.store, ScopeState(scope=scope), throttled(scope=scope), at=NOON)
    assert [s.scope for s in stores.store.safety.scope_states()] == [GLOBAL, "starknet", "zksync"]


def test_only_visible_changes_get_a_row_of_history(stores: Stores) -> None:
    first = change_state(stores.store, ScopeState(scope=GLOBAL), throttled(), at=NOON)
    seen = change_state(
        stores.store, first, replace(first, seen_at=NOON + later(5)), at=NOON + later(5)
    )
    assert seen.seen_at == NOON + later(5)
    decided(safety.halt, stores.store, GLOBAL, by="Ann", reason=HOSTILE, at=NOON + later(9))
    newest, oldest = stores.store.safety.changes(10)
    assert (oldest.before, oldest.after, oldest.by) == (State.NORMAL, State.THROTTLED, "mmbot")
    assert (newest.before, newest.after) == (State.THROTTLED, State.HALTED)
    assert (newest.by, newest.at, newest.scope) == ("Ann", NOON + later(9), GLOBAL)
    assert newest.why.startswith("no")
    assert "'quoted'" in newest.why
    assert stores.store.safety.changes(1) == [newest]


def test_a_change_of_what_was_changed_since_writes_nothing(stores: Stores) -> None:
    never = ScopeState(scope=GLOBAL)
    first = change_state(stores.store, never, throttled(), at=NOON)
    for stale in (never, replace(first, version=7)):
        with pytest.raises(ConcurrentUpdate):
            change_state(stores.store, stale, throttled(why="late"), at=NOON)
    assert stores.store.safety.scope_states() == [first]
    assert len(stores.store.safety.changes(10)) == 1


def test_of_many_changes_at_once_one_wins(stores: Stores) -> None:
    def race(number: int) -> bool:
        try:
            change_state(
                stores.store, ScopeState(scope=GLOBAL), throttled(why=f"{number}"), at=NOON
            )
        except ConcurrentUpdate:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert stores.store.safety.scope_states()[0].why == str(won.index(True))


# a person's word


def test_a_person_halts_and_resumes(stores: Stores) -> None:
    halted = decided(safety.halt, stores.store, GLOBAL, by=" Ann\n Lee ", reason="a  look", at=NOON)
    assert (halted.state, halted.by, halted.why) == (State.HALTED, "Ann Lee", "a look")
    decided(safety.halt, stores.store, GLOBAL, by="Bo", reason="me too", at=NOON + later(1))
    now = decided(safety.resume, stores.store, GLOBAL, by="Bo", reason="fixed", at=NOON + later(2))
    assert (now.state, now.since, now.resumed_at) == (State.NORMAL, *[NOON + later(2)] * 2)
    assert [(c.by, c.after) for c in stores.store.safety.changes(9)] == [
        ("Bo", State.NORMAL),
        ("Bo", State.HALTED),
        ("Ann Lee", State.HALTED),
    ]
    with pytest.raises(InvalidDecision, match="global is NORMAL, nothing to resume"):
        decided(safety.resume, stores.store, GLOBAL, by="Bo", reason="again", at=NOON)


@pytest.mark.parametrize(
    ("by", "reason", "expected"),
    [
        ("", "why", "a name"),
        (" \n", "why", "a name"),
        ("Ann", "", "a reason"),
        ("MMBot", "why", "the bot itself"),
        ("Ann", "x" * 501, "at most 500"),
    ],
)
def test_a_word_needs_a_name_and_a_reason(
    stores: Stores, by: str, reason: str, expected: str
) -> None:
    for decide in (safety.halt, safety.resume):
        with pytest.raises(InvalidDecision, match=expected) as e:
            decided(decide, stores.store, GLOBAL, by=by, reason=reason, at=NOON)
        assert "\n" not in str(e.value)
    assert stores.store.safety.scope_states() == []


def test_who_resumes_the_wrong_scope_is_shown_the_right_one(stores: Stores) -> None:
    decided(safety.halt, stores.store, "zksync", by="Ann", reason="a look", at=NOON)
    with pytest.raises(InvalidDecision, match=r"zksync is HALTED since .* by Ann: a look"):
        decided(safety.resume, stores.store, GLOBAL, by="Ann", reason="fixed", at=NOON)


# the lane


def test_a_halt_waits_for_who_stores_what_it_signed_and_binds_the_next(stores: Stores) -> None:
    started = threading.Event()

    def halt() -> None:
        started.set()
        decided(safety.halt, stores.store, GLOBAL, by="Ann", reason="a look", at=NOON)

    with ThreadPoolExecutor(1) as pool:
        with held(stores.store, CHAIN, OURS) as (uow, _lane):
            assert uow.safety.hold() == []
            halting = pool.submit(halt)
            assert started.wait(120)
            with pytest.raises(TimeoutError):
                halting.result(0.2)
        halting.result(120)
    with held(stores.store, CHAIN, OURS) as (uow, _lane):
        assert state_of(uow.safety.scope_states(), GLOBAL).state is State.HALTED
