"""The stored transactions of Starknet accounts, and a look at all of them."""

from sqlalchemy import select

from mmbot_pipelines.adapters.db.tables.outbox import invokes
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes, invoke_of
from mmbot_pipelines.adapters.starknet.invokes import Invoke
from tests.postgres import clean_engine


class StoredInvokes(PgInvokes):
    """The port `Invokes` on an empty table."""

    def __init__(self) -> None:
        super().__init__(clean_engine(invokes))

    @property
    def rows(self) -> list[Invoke]:
        """Return all rows in the order in which they were stored."""
        with self._engine.begin() as connection:
            return [
                invoke_of(r) for r in connection.execute(select(invokes).order_by(invokes.c.id))
            ]
