"""NORMAL, THROTTLED or HALTED: for everything, or for one part of it.

    NORMAL    -> THROTTLED   by itself, while a cause lasts
    THROTTLED -> NORMAL      by itself, when no cause was seen for a while
    any       -> HALTED      by itself, or by a person
    any       -> NORMAL      by a person, who gives their name and a reason

So only a person ends a halt. A scope without a row has always been NORMAL.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.core.errors import ConcurrentUpdate, Stop

GLOBAL = "global"
BOT = "mmbot"  # who changes a state where no person does

# A cause that comes and goes within this time is one THROTTLED, not many.
RECOVERY_SECONDS = 15.0

# Over with the first answer: what nobody could ask for is not to be done slowly afterwards.
UNREACHABLE = "unreachable"

_TRIES = 5  # of a person's word against changes at the same moment
_MAX_LENGTH = 500  # characters of a name or a reason


class State(StrEnum):
    NORMAL = "NORMAL"
    THROTTLED = "THROTTLED"  # less is sent, and more slowly
    HALTED = "HALTED"  # nothing new is sent; what is owed to us is still fetched

    @property
    def rank(self) -> int:
        """Return how strict the state is, 0 for NORMAL."""
        return list(State).index(self)


class StatesChanged(Exception):
    """A safety state was changed while work was decided by the one before."""


class InvalidDecision(Stop):
    """A person's word that cannot be taken as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeState:
    """The state of one scope, since when, by whom, and why."""

    scope: str  # GLOBAL, or a part's name
    state: State = State.NORMAL
    since: datetime | None = None  # UTC; None: always
    by: str = BOT
    why: str = "never left"
    causes: frozenset[str] = frozenset()  # of THROTTLED
    seen_at: datetime | None = None  # UTC, when a cause of THROTTLED was last seen
    resumed_at: datetime | None = None  # UTC; what failed before counts no more
    version: int = 0  # compare-and-set: the store raises it with every change

    @property
    def is_slowed(self) -> bool:
        """Return whether less is to be sent than usual.

        An unreachable chain is no reason: a process that gets as far as sending has reached it.
        """
        return self.state is State.THROTTLED and self.causes != {UNREACHABLE}

    @property
    def summary(self) -> str:
        """Return the state, since when, by whom and why, in one line."""
        if self.since is None:
            return f"{self.scope} is {self.state}"
        at = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.scope} is {self.state} since {at} by {self.by}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A reading past its threshold."""

    scope: str
    state: State  # that it asks for
    cause: str  # one word for the kind, the same every time
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyChange:
    """One row of history."""

    scope: str
    before: State
    after: State
    at: datetime  # UTC
    by: str
    why: str


class SafetyReads(Protocol):
    """The states, with a history that only grows."""

    def scope_states(self) -> list[ScopeState]:
        """Return every scope that was ever changed, by name."""

    def changes(self, max_rows: int) -> list[SafetyChange]:
        """Return the newest rows of history, newest first."""


class SafetyStates(SafetyReads, Protocol):
    """The states within one transaction of the database."""

    def hold(self) -> list[ScopeState]:
        """Return every scope as `scope_states` does; none changes until the transaction ends."""

    def change(self, before: ScopeState, after: ScopeState, *, at: datetime) -> ScopeState:
        """Store the new state, with a row of history if state, author or reason differ.

        Waits for those who are storing what they signed.

        Raises:
            ConcurrentUpdate: somebody changed the scope since; nothing was written.
        """


def is_recorded(before: ScopeState, after: ScopeState) -> bool:
    """Return whether a change gets a row of history."""
    return (before.state, before.by, before.why) != (after.state, after.by, after.why)


def state_of(scope_states: Iterable[ScopeState], scope: str) -> ScopeState:
    """Return a scope's own state."""
    return next((s for s in scope_states if s.scope == scope), ScopeState(scope=scope))


def effective_state(scope_states: Sequence[ScopeState], scope: str) -> ScopeState:
    """Return what holds for a scope: the stricter of its own standing and the global one."""
    return max(
        (state_of(scope_states, GLOBAL), state_of(scope_states, scope)), key=lambda s: s.state.rank
    )


def confirm(before: Iterable[ScopeState], now: Iterable[ScopeState]) -> None:
    """Check that every scope is still in the state that work was decided by.

    Raises:
        StatesChanged: one is not; the message names it.
    """
    old, new = (
        {s.scope: s.state for s in scope_states if s.state is not State.NORMAL}
        for scope_states in (before, now)
    )
    for scope in sorted(old.keys() | new.keys()):
        if old.get(scope) is not new.get(scope):
            raise StatesChanged(f"{scope} is {new.get(scope, State.NORMAL)} since this moment")


def next_scope_state(
    now: ScopeState, breaches: Sequence[Breach], *, at: datetime, complete: bool = True
) -> ScopeState | None:
    """Return the standing that the trips of a scope ask for, or None to leave it as it is.

    complete: every cause was looked for, so that one which is not among the trips is gone.
    """
    if now.state is State.HALTED:
        return None
    if not breaches:
        return _recovered(now, at) if complete else None
    state = max((t.state for t in breaches), key=lambda s: s.rank)
    why = "; ".join(t.why for t in breaches if t.state is state)
    if state is State.HALTED:
        return _moved(now, state, at=at, by=BOT, why=why)
    causes = frozenset(t.cause for t in breaches) | (frozenset() if complete else now.causes)
    if now.state is State.NORMAL:
        return replace(_moved(now, state, at=at, by=BOT, why=why), causes=causes, seen_at=at)
    if causes == now.causes:
        return replace(now, seen_at=at)
    return replace(now, causes=causes, seen_at=at, by=BOT, why=why)


def _recovered(now: ScopeState, at: datetime) -> ScopeState | None:
    seen = now.seen_at or now.since
    calm = seen is None or (at - seen).total_seconds() >= RECOVERY_SECONDS
    calm = calm or now.causes == {UNREACHABLE}
    if now.state is State.NORMAL or not calm:
        return None
    return _moved(now, State.NORMAL, at=at, by=BOT, why=f"resolved: {now.why}")


def halt(states: SafetyStates, scope: str, *, by: str, reason: str, at: datetime) -> ScopeState:
    """Halt a scope by a person's word, also one that is halted already.

    Raises:
        InvalidDecision: the name or the reason is missing.
    """
    return _decide(states, scope, State.HALTED, by=by, reason=reason, at=at)


def resume(states: SafetyStates, scope: str, *, by: str, reason: str, at: datetime) -> ScopeState:
    """Set a scope back to NORMAL by a person's decision; count failures from zero again.

    Raises:
        InvalidDecision: the name or the reason is missing, or the scope is NORMAL.
    """
    return _decide(states, scope, State.NORMAL, by=by, reason=reason, at=at)


def require_scope(scope: str, parts: Iterable[str]) -> str:
    """Return a scope that is GLOBAL or one of the parts.

    Raises:
        InvalidDecision: there is no such scope.
    """
    scopes = [GLOBAL, *parts]
    if scope not in scopes:
        raise InvalidDecision(f"there is no such scope; choose one of {', '.join(scopes)}")
    return scope


def _decide(
    states: SafetyStates, scope: str, state: State, *, by: str, reason: str, at: datetime
) -> ScopeState:
    name, why = _required_text(by, "a name: who decides"), _required_text(reason, "a reason: why")
    if name.casefold() == BOT:
        raise InvalidDecision(f"{name} is the bot itself: name the person who decides")
    for _ in range(_TRIES):
        scope_states = states.scope_states()
        now = state_of(scope_states, scope)
        if state is now.state is State.NORMAL:
            others = [s.summary for s in scope_states if s.state is not State.NORMAL]
            raise InvalidDecision("; ".join([f"{scope} is NORMAL, nothing to resume", *others]))
        try:
            return states.change(now, _moved(now, state, at=at, by=name, why=why), at=at)
        except ConcurrentUpdate:
            continue
    raise InvalidDecision(f"{scope} keeps changing at this moment: run the command again")


def _required_text(text: str, what: str) -> str:
    cleaned = " ".join(text.split())
    if not cleaned:
        raise InvalidDecision(f"it needs {what}")
    if len(cleaned) > _MAX_LENGTH:
        raise InvalidDecision(f"it takes at most {_MAX_LENGTH} characters for {what}")
    return cleaned


def _moved(now: ScopeState, state: State, *, at: datetime, by: str, why: str) -> ScopeState:
    resumed = at if state is State.NORMAL and by != BOT else now.resumed_at
    return ScopeState(
        scope=now.scope,
        state=state,
        since=at if state is not now.state else now.since,
        by=by,
        why=why,
        resumed_at=resumed,
        version=now.version,
    )
