"""Logs as JSON: what a line is about stands in its fields."""

import json
import logging
import sys
from typing import Any

import pytest

from mmbot_pipelines.adapters.logs import json_formatter

TX = "0x" + "ab" * 32
WALLET = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
RUN = {"run_id": "5f", "job_name": "fill_orders", "step_key": "transfer", "dagster_event": None}


def written(text: str, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("dagster", logging.INFO, "", 0, text, (), None)
    record.__dict__.update(extra)
    line = json_formatter(["zksync", "starknet"]).format(record)
    assert "\n" not in line
    return dict(json.loads(line))


def test_a_line_of_a_run_has_its_fields() -> None:
    text = f"zksync:7: transfer {TX} with nonce 3 sent to {WALLET} by wallet {WALLET}, value 1 wei"
    event = written(f"fill_orders - 5f - {text}", dagster_meta=RUN | {"orig_message": text})
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": text,
        "level": "info",
        "logger": "dagster",
        "order": "zksync:7",
        "tx": TX,
        "wallet": WALLET,
        "run": "5f",
        "job": "fill_orders",
        "step": "transfer",
    }


def test_a_line_of_a_tick_is_of_its_sensor() -> None:
    meta = {"repository_name": "r", "name": "zksync_orders", "orig_message": "zksync:7: found"}
    event = written("r - zksync_orders - zksync:7: found", dagster_meta=meta)
    assert (event["event"], event["run"]) == ("zksync:7: found", "sensor zksync_orders")


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("zksync:7, starknet:8: receipt processed", "zksync:7,starknet:8"),
        ("zksync:7: it waits, zksync:7 is parked", "zksync:7"),
        ("http://localhost:8545 and 127.0.0.1:8545 are away", None),
        ("database mmbot at db.internal:5432", None),
        ("::1:7 at 12:30:11", None),
    ],
)
def test_only_orders_are_orders(text: str, orders: str | None) -> None:
    assert written(text).get("order") == orders


def test_a_recipient_is_no_wallet_and_a_cause_is_kept() -> None:
    event = written(f"zksync:7: pays 1 ETH to {WALLET}")
    assert "wallet" not in event
    meta = RUN | {"orig_message": "Execution failed", "dagster_event": object()}
    assert written("failed: the whole cause", dagster_meta=meta)["event"].endswith("whole cause")


def test_what_a_stranger_writes_breaks_no_line() -> None:
    assert written('zksync:7: "}\n{"order": "zksync:8')["order"] == "zksync:7,zksync:8"


def test_an_error_is_one_line_with_its_way() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        event = written("it broke", exc_info=sys.exc_info())
    assert "ValueError: no" in event["exception"]
