"""One order is followed by its key through the logs of all processes, and in Dagster's run log."""

import json
import subprocess
from typing import Any

from tests.e2e.product import Product


def test_one_order_is_followed_by_its_key(product: Product, completed: list[str]) -> None:
    key = completed[0]
    (order,) = product.orders([key])
    seen = events(product, key)
    assert {event["log"] for event in seen} >= {"code", "workers"}
    assert all({"timestamp", "level", "event", "order", "run"} <= set(event) for event in seen)
    assert all(key in event["order"].split(",") for event in seen)
    texts = [event["event"] for event in seen]
    (found,) = [event for event in seen if f"{key}: found in block" in event["event"]]
    assert found["run"].startswith("sensor ")
    (sent,) = [
        event for event in seen if event.get("tx") == order.transfer_tx and "wallet" in event
    ]
    assert sent["wallet"] == product.stack.deployment.market_maker
    assert any("FULFILLED" in text for text in texts)
    assert any(f"{key}: completed, the escrow paid us" in text for text in texts)
    assert {sent["run"]} & {run["runId"] for run in product.runs(order=key)}
    logged = product.ask(
        """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection {
            events { ... on LogMessageEvent { message } } } } }""",
        run=sent["run"],
    )
    assert sent["event"] in {event.get("message") for event in logged["logsForRun"]["events"]}


def events(product: Product, key: str) -> list[dict[str, Any]]:
    """Return what a grep for a key finds in the processes' logs, oldest first."""
    folder = product.stack.log("code").parent
    command = ["grep", "-w", key, *(str(path) for path in folder.glob("*.log"))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for line in lines:
        path, _, text = line.partition(":")
        if text.startswith("{"):  # the local chains' logs are their own
            log = path.removesuffix(".log").rpartition("/")[2]
            found.append(json.loads(text) | {"log": log})
    return sorted(found, key=lambda event: str(event["timestamp"]))
