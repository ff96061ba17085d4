"""Open the database alone. Imports no chain, so that `mmbot halt` begins at once."""

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db import startup
from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.safety import PgSafety
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.adapters.starknet.invokes import Invokes
from mmbot_pipelines.bridge.ports.orders import Orders
from mmbot_pipelines.core.safety import SafetyStore
from mmbot_pipelines.settings import Database


def existing(database: Database) -> Database:
    """Return the database as it is, once it is known to be the bot's.

    Raises:
        InvalidSettings: there is none, or it has none of the bot's tables; nothing was created.
        StoreUnavailable: the database cannot be reached.
    """
    startup.require_existing(database.url, folder=database.folder)
    return database


def orders(database: Database) -> Orders:
    """Open the store, with its tables as this version needs them.

    Raises:
        InvalidSettings: migrations are pending and MMBOT_AUTO_MIGRATE is off.
        StoreUnavailable: the database cannot be reached.
    """
    return PgOrders(engine(database))


def invokes(database: Database) -> Invokes:
    """Open the stored transactions of our accounts on L2s.

    Raises:
        InvalidSettings, StoreUnavailable: see `orders`.
    """
    return PgInvokes(engine(database))


def safety(database: Database) -> SafetyStore:
    """Open the safety states, of whatever version the tables are: a halt waits for no migration.

    Raises:
        StoreUnavailable: the embedded server does not start.
    """
    return PgSafety(connect(startup.database_url(database.url, folder=database.folder)))


def engine(database: Database) -> Engine:
    """Open the database, with its tables as this version needs them.

    Raises:
        InvalidSettings, StoreUnavailable: see `orders`.
    """
    url = startup.ready_url(
        database.url, folder=database.folder, auto_migrate=database.auto_migrate
    )
    return connect(url)
