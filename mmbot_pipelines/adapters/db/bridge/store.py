"""The bridge's store in Postgres: the port `BridgeStore`, orders beside the shared tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from mmbot_pipelines.adapters.db.bridge.orders import PgOrderReads, PgOrders
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.unit_of_work import PgStore, PgUnitOfWork


class PgBridgeUnitOfWork(PgUnitOfWork):
    """The repositories of one transaction of the bridge."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.orders = PgOrders(connection)


class PgBridgeStore(PgStore):
    """Units of work of the bridge, and questions in a transaction of their own.

    Raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.orders = PgOrderReads(self._rows)

    @contextmanager
    def begin(self) -> Iterator[PgBridgeUnitOfWork]:
        """Begin a transaction: leaving commits, an exception takes everything back."""
        with transaction(self._engine) as connection:
            yield PgBridgeUnitOfWork(connection)
