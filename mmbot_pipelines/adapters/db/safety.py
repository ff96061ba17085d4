"""The safety states in Postgres.

Whoever has signed reads them again under a shared lock, at the end of its transaction, and
whoever changes one takes that lock alone: once a halt is stored, nothing is stored or sent any
more that did not know of it, and no halt waits for a signature.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import safety, safety_events
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.safety import SafetyChange, ScopeState, State, is_recorded

_LOCK = 0x736166657479  # "safety"


class PgSafety:
    """The port `SafetyStore` on Postgres.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def scope_states(self) -> list[ScopeState]:
        """Return every scope that was ever changed, by name."""
        with transaction(self._engine) as connection:
            return read_scope_states(connection)

    def change(self, before: ScopeState, after: ScopeState, *, at: datetime) -> ScopeState:
        """Write the new standing, and its row of history if it tells something new.

        Waits for those who are storing what they signed.

        Raises:
            ConcurrentUpdate: somebody changed the scope since; nothing was written.
        """
        values = _values(after) | {"version": before.version + 1}
        with transaction(self._engine) as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            if before.since is None:  # no row; one of an old release may have version 0
                written = connection.execute(
                    postgresql.insert(safety)
                    .values(scope=before.scope, **values)
                    .on_conflict_do_nothing()
                    .returning(safety)
                ).one_or_none()
            else:
                written = connection.execute(
                    update(safety)
                    .where(safety.c.scope == before.scope, safety.c.version == before.version)
                    .values(**values)
                    .returning(safety)
                ).one_or_none()
            if written is None:
                raise ConcurrentUpdate(
                    f"the safety state of {before.scope} was changed by somebody else"
                )
            if is_recorded(before, after):
                connection.execute(
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

    def changes(self, max_rows: int) -> list[SafetyChange]:
        """Return the newest rows of history, newest first."""
        newest = select(safety_events).order_by(safety_events.c.id.desc()).limit(max_rows)
        with transaction(self._engine) as connection:
            return [
                SafetyChange(
                    scope=row.scope,
                    before=State(row.before),
                    after=State(row.after),
                    at=row.at,
                    by=row.by_whom,
                    why=row.why,
                )
                for row in connection.execute(newest)
            ]


def lock_scope_states(connection: Connection) -> list[ScopeState]:
    """Read every scope's standing; none changes until this transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))
    return read_scope_states(connection)


def read_scope_states(connection: Connection) -> list[ScopeState]:
    return [
        _scope_state(row) for row in connection.execute(select(safety).order_by(safety.c.scope))
    ]


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
