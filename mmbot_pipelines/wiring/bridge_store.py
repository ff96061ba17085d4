"""Open the bridge's tables alone. Imports no chain, so that `mmbot orders` begins at once."""

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.adapters.starknet.invokes import Invokes
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.settings import Database
from mmbot_pipelines.wiring.shared import engine


def store(database: Database) -> BridgeStore:
    """Open the store, with its tables as this version needs them.

    Raises:
        InvalidSettings: migrations are pending and MMBOT_AUTO_MIGRATE is off.
        StoreUnavailable: the database cannot be reached.
    """
    return PgBridgeStore(engine(database))


def invokes(database: Database) -> Invokes:
    """Open the stored transactions of our accounts on L2s.

    Raises:
        InvalidSettings, StoreUnavailable: see `store`.
    """
    return PgInvokes(engine(database))
