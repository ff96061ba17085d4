"""The store in Postgres: the port `Store`, one database transaction a unit of work.

An application's store adds its own repositories to both classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from mmbot_pipelines.adapters.db.engine import rows_of_each, transaction
from mmbot_pipelines.adapters.db.error_log import PgErrorLog, PgErrorReads
from mmbot_pipelines.adapters.db.outbox import PgOutbox, PgOutboxReads
from mmbot_pipelines.adapters.db.safety import PgSafety, PgSafetyReads


class PgUnitOfWork:
    """The repositories of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.outbox = PgOutbox(connection)
        self.safety = PgSafety(connection)
        self.errors = PgErrorLog(connection)


class PgStore:
    """Units of work, and questions in a transaction of their own.

    Raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = rows_of_each(engine)
        self.outbox = PgOutboxReads(self._rows)
        self.safety = PgSafetyReads(self._rows)
        self.errors = PgErrorReads(self._rows)

    @contextmanager
    def begin(self) -> Iterator[PgUnitOfWork]:
        """Begin a transaction: leaving commits, an exception takes everything back."""
        with transaction(self._engine) as connection:
            yield PgUnitOfWork(connection)
