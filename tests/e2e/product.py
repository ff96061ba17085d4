"""The running product as a test sees it: its orders, its chains, its Dagster."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import requests
from web3.types import TxReceipt

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.orders import OrderSpec
from tests.chaos.faulty_stack import FaultyStack
from tests.chaos.invariants import audited, table


class Product:
    def __init__(self, stack: FaultyStack) -> None:
        self.stack = stack
        self.store = PgBridgeStore(connect_database(stack.database_url))
        self.l1 = connect(stack.l1.url)
        self.chains = stack.chains()
        self.before = self.chains.snapshot()

    def place(self, order_specs: Sequence[OrderSpec]) -> list[str]:
        """Place orders, those of one origin in one block of it; return their keys."""
        return self.stack.users().place_many(order_specs)

    def place_one(self, order_spec: OrderSpec) -> str:
        return self.stack.users().place(order_spec)

    def orders(self, keys: Iterable[str]) -> list[Order]:
        return self.store.orders.get(list(keys))

    def await_all(
        self, keys: Sequence[str], there: Callable[[Order], bool], seconds: float = 300
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

    def await_completed(self, keys: Sequence[str], seconds: float = 300) -> list[Order]:
        return self.await_all(keys, lambda o: o.status is Status.COMPLETED, seconds)

    def receipts(self, hashes: Iterable[str | None]) -> list[TxReceipt]:
        return [self.l1.eth.get_transaction_receipt(h) for h in hashes]

    def ask(self, query: str, **variables: object) -> Any:
        """Ask Dagster's own GraphQL API."""
        answer = requests.post(
            f"{self.stack.ui}/graphql",
            json={"query": query, "variables": variables},
            timeout=120,
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

    def await_run(self, key: str, seconds: float = 300) -> dict[str, Any]:
        """Wait until Dagster calls an order's run green: the order knows a little earlier."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for run in self.runs(order=key):
                if run["status"] == "SUCCESS":
                    return run
            time.sleep(0.2)
        raise AssertionError(f"no run of {key} succeeded: {self.runs(order=key)}")

    def check_invariants(self, seconds: float = 300) -> None:
        """Check that no wei is missing, no step illegal, and in time every failed run stored."""
        end = time.monotonic() + seconds
        while True:
            results = audited(self.chains, self.stack.database_url, self.before)
            violated = {result.name for result in results if result.violations}
            # A sensor stores what failed runs have met, every 10 seconds.
            if violated != {"no error is lost"} or time.monotonic() > end:
                break
            time.sleep(0.5)
        assert not violated, "\n" + table(results)
