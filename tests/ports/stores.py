"""Store and accounts of one database."""

from dataclasses import dataclass

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.ports.accounts import Accounts


@dataclass(frozen=True)
class Stores:
    store: PgBridgeStore
    accounts: Accounts


def books_on(engine: Engine) -> Stores:
    return Stores(PgBridgeStore(engine), PgAccounts(engine))
