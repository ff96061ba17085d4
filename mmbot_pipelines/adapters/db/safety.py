"""The safety states in Postgres: the ports `SafetyReads` and `SafetyStates`.

A signer reads them again under a shared lock at the end of its transaction, and a change of one
takes that lock alone: once a halt is stored, nothing is stored or sent that did not know of it,
and no halt waits for a signature.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import Rows, rows_within
from mmbot_pipelines.adapters.db.tables.monitoring import safety, safety_events
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.safety import SafetyChange, ScopeState, State, is_recorded

_LOCK = 0x736166657479  # "safety"


class PgSafetyReads:
    """Questions about the states."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def scope_states(self) -> list[ScopeState]:
        return [_scope_state(row) for row in self._rows(select(safety).order_by(safety.c.scope))]

    def changes(self, max_rows: int) -> list[SafetyChange]:
        newest = select(safety_events).order_by(safety_events.c.id.desc()).limit(max_rows)
        return [
            SafetyChange(
                scope=row.scope,
                before=State(row.before),
                after=State(row.after),
                at=row.at,
                by=row.by_whom,
                why=row.why,
            )
            for row in self._rows(newest)
        ]


class PgSafety(PgSafetyReads):
    """The states within one transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(rows_within(connection))
        self._connection = connection

    def hold(self) -> list[ScopeState]:
        self._connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))
        return self.scope_states()

    def change(self, before: ScopeState, after: ScopeState, *, at: datetime) -> ScopeState:
        values = _values(after) | {"version": before.version + 1}
        self._connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        write: Executable
        if before.since is None:  # no row; one of an old release may have version 0
            write = (
                postgresql.insert(safety)
                .values(scope=before.scope, **values)
                .on_conflict_do_nothing()
                .returning(safety)
            )
        else:
            write = (
                update(safety)
                .where(safety.c.scope == before.scope, safety.c.version == before.version)
                .values(**values)
                .returning(safety)
            )
        written = self._connection.execute(write).one_or_none()
        if written is None:
            raise ConcurrentUpdate(
                f"the safety state of {before.scope} was changed by somebody else"
            )
        if is_recorded(before, after):
            self._connection.execute(
                insert(safety_events).values(
                    scope=before.scope,
                    before=before.state.value,
                    after=after.state.value,
                    at=at,
                    by_whom=after.by,
                    why=after.why,
                )
            )
        return _scope_state(written)


def _scope_state(row: Row[Any]) -> ScopeState:
    return ScopeState(
        scope=row.scope,
        state=State(row.state),
        since=row.since,
        by=row.by_whom,
        why=row.why,
        causes=frozenset(filter(None, row.causes.split(","))),
        seen_at=row.seen_at,
        resumed_at=row.resumed_at,
        version=row.version,
    )


def _values(scope_state: ScopeState) -> dict[str, object]:
    return {
        "state": scope_state.state.value,
        "since": scope_state.since,
        "by_whom": scope_state.by,
        "why": scope_state.why,
        "causes": ",".join(sorted(scope_state.causes)),
        "seen_at": scope_state.seen_at,
        "resumed_at": scope_state.resumed_at,
    }
