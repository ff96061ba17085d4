"""The running product as a test sees it: its orders, its chains, its Dagster."""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import requests
from web3.types import TxReceipt

from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.adapters.db.orders import PgOrders
from mmbot_pipelines.bridge.order import NEXT, Order, Status
from mmbot_pipelines.bridge.ports import Filter
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.orders import Wish, place, place_many
from mmbot_pipelines.devnet.stack import Stack


class Product:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.store = PgOrders(connect_database(stack.database_url))
        self.l1 = connect(stack.l1.url)

    def place(self, wishes: Sequence[Wish]) -> list[str]:
        """Place orders in one L2 block and return their keys."""
        return [f"zksync:{n}" for n in place_many(self.stack.deployment.zksync, wishes)]

    def place_one(self, wish: Wish) -> str:
        return f"zksync:{place(self.stack.deployment.zksync, wish)}"

    def orders(self, keys: Iterable[str]) -> list[Order]:
        return self.store.get(list(keys))

    def await_all(
        self, keys: Sequence[str], there: Callable[[Order], bool], seconds: float = 120
    ) -> list[Order]:
        """Wait until all orders are there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            orders = self.orders(keys)
            if len(orders) == len(keys) and all(map(there, orders)):
                return orders
            time.sleep(0.2)
        stand = {o.key: f"{o.status} {o.reason or ''}" for o in self.orders(keys)}
        raise AssertionError(f"after {seconds} s: {stand}")

    def await_completed(self, keys: Sequence[str], seconds: float = 120) -> list[Order]:
        return self.await_all(keys, lambda o: o.status is Status.COMPLETED, seconds)

    def receipts(self, hashes: Iterable[str | None]) -> list[TxReceipt]:
        return [self.l1.eth.get_transaction_receipt(h) for h in hashes]  # type: ignore[arg-type]

    def ask(self, query: str, **variables: object) -> Any:
        """Ask Dagster's own GraphQL API."""
        answer = requests.post(
            f"{self.stack.ui}/graphql",
            json={"query": query, "variables": variables},
            timeout=30,
        ).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def runs(self, **tag: str) -> list[dict[str, Any]]:
        """List the runs with a tag, newest first."""
        query = """query ($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) {
            ... on Runs { results { runId jobName status tags { key value } } } } }"""
        tags = [{"key": key, "value": value} for key, value in tag.items()]
        found: list[dict[str, Any]] = self.ask(query, tags=tags)["runsOrError"]["results"]
        return found

    def check_invariants(self) -> None:
        """Check from outside that no wei is missing and no step was illegal."""
        for order in self.store.find(Filter()):
            way = [e.after for e in self.store.history(order.key)]
            for before, after in itertools.pairwise(way):
                assert before is after or after in {
                    status for (was, _), status in NEXT.items() if was is before
                }, f"{order.key}: {way}"
            stored = self.store.transactions(order.key)
            receipts = self.receipts(t.hash for t in stored if t.purpose == "transfer")
            assert sum(r["status"] for r in receipts) <= 1, order.key
        used = self.l1.eth.get_transaction_count(self.stack.deployment.market_maker)
        nonces = sorted(
            t.nonce for o in self.store.find(Filter()) for t in self.store.transactions(o.key)
        )
        assert nonces == list(range(nonces[0], used))
