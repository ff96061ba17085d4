"""Orders, accounts and safety states of one store, in memory or in Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.safety import PgSafety
from mmbot_pipelines.bridge.ports.accounts import Accounts
from mmbot_pipelines.bridge.ports.orders import Orders
from mmbot_pipelines.core.safety import SafetyStore
from tests.ports.orders_memory import OrdersMemory
from tests.ports.safety_memory import AccountsMemory


@dataclass(frozen=True)
class Stores:
    orders: Orders
    accounts: Accounts
    safety: SafetyStore


def in_memory() -> Stores:
    store = OrdersMemory()
    return Stores(store, AccountsMemory(store), store.safety)


@contextmanager
def in_postgres(url: str) -> Iterator[Stores]:
    engine = connect(url)
    yield Stores(PgOrders(engine), PgAccounts(engine), PgSafety(engine))
    engine.dispose()
