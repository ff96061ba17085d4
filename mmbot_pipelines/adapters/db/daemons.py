"""The port `Daemons` on Postgres."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import daemons
from mmbot_pipelines.core.daemons import Daemon

_KEPT = timedelta(days=7)  # to look up what happened


class PgDaemons:
    """The heartbeats of daemons.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record_heartbeat(self, name: str, *, at: datetime) -> None:
        """Keep a sign of life; an older one than is known changes nothing."""
        sign = postgresql.insert(daemons).values(name=name, first_at=at, last_at=at)
        newest = func.greatest(daemons.c.last_at, sign.excluded.last_at)
        with transaction(self._engine) as connection:
            connection.execute(
                sign.on_conflict_do_update(
                    index_elements=[daemons.c.name],
                    set_={"last_at": newest},
                    where=daemons.c.last_at < sign.excluded.last_at,
                )
            )
            connection.execute(delete(daemons).where(daemons.c.last_at < at - _KEPT))

    def alive_since(self, at: datetime) -> list[Daemon]:
        """Return all with a heartbeat since then, the first one first."""
        found = (
            select(daemons)
            .where(daemons.c.last_at >= at)
            .order_by(daemons.c.first_at, daemons.c.name)
        )
        with transaction(self._engine) as connection:
            return [
                Daemon(name=row.name, first_at=row.first_at, last_at=row.last_at)
                for row in connection.execute(found)
            ]
