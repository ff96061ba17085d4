"""mmbot orders: the list, what narrows it, and its JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.cli import screen
from mmbot_pipelines.core.money import UINT256_MAX
from tests.bridge.orders import NOON, an_order
from tests.cli.command import Mmbot
from tests.cli.stored_orders import HOSTILE, add, fail, rows, step


def test_no_orders_yet(mmbot: Mmbot) -> None:
    output = mmbot("orders")
    assert output.code == 0
    assert output.out.startswith("no such orders\ndatabase: mmbot_test_")
    assert output.out.endswith(" (MMBOT_DATABASE_URL)\n")
    assert json.loads(mmbot("orders", "--json").out) == []


def test_the_list_shows_each_order_in_a_line(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7), an_order(UINT256_MAX, amount=UINT256_MAX, fee=1))
    add(store, an_order(7, origin="starknet"))
    output = mmbot("orders")
    assert output.code == 0
    assert {row[0] for row in rows(output.out)} == {
        "zksync:7",
        "starknet:7",
        f"zksync:{UINT256_MAX}",
    }
    assert "PENDING" in output.out
    assert "0.01 ETH" in output.out
    assert "  1 wei  " in output.out
    assert f"{str(UINT256_MAX)[:-18]}.{str(UINT256_MAX)[-18:]} ETH" in output.out


def test_a_narrow_terminal_cuts_no_reason(
    store: PgBridgeStore, mmbot: Mmbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "_PIPED_WIDTH", 90)
    why = "the call would revert: " + "why " * 100 + "because"
    add(store, an_order(7))
    fail(store, store.orders.get(["zksync:7"])[0], why)
    out = mmbot("orders").out
    line, reason = (line for line in out.splitlines() if "zksync:7" in line)
    for part in ("PENDING", "parked", "0.01 ETH", "0.001 ETH", "ago"):
        assert part in line
    assert reason == f"zksync:7: {why}"


def test_a_list_that_ends_too_early_says_so(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, *(an_order(n) for n in range(3)))
    cut = mmbot("orders", "--limit", "2").out
    assert len(rows(cut)) == 2
    assert "and more: those above changed last; list more with --limit 4" in cut
    assert "and more" not in mmbot("orders", "--limit", "3").out


def test_the_list_can_be_narrowed(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, *(an_order(n) for n in range(4)))
    add(store, an_order(0, origin="starknet"))
    orders = {o.key: o for o in store.orders.get(["zksync:1", "zksync:2"])}
    step(store, orders["zksync:1"], Fact.REFUSED, 1, "fee too low")
    fail(store, orders["zksync:2"], "no thanks")

    def keys(*options: str) -> set[str]:
        return {row["key"] for row in json.loads(mmbot("orders", "--json", *options).out)}

    assert keys("--status", "dropped") == {"zksync:1"}
    assert keys("--failed") == {"zksync:2"}
    assert keys("--no-failed", "--origin", "zksync") == {"zksync:0", "zksync:1", "zksync:3"}
    assert keys("--origin", "starknet") == {"starknet:0"}
    assert keys("--origin", "starknet", "--failed") == set()
    assert len(keys("--limit", "2")) == 2
    assert [row[0] for row in rows(mmbot("orders", "--failed").out)] == ["zksync:2"]


def test_an_unknown_status_is_reported_with_those_that_are(mmbot: Mmbot) -> None:
    output = mmbot("orders", "--status", "LOST")
    assert output.code == 2
    assert "FULFILLED" in output.err.upper()


def test_an_unknown_origin_is_reported_with_those_that_are(mmbot: Mmbot) -> None:
    output = mmbot("orders", "--origin", "foo")
    assert output.code == 2
    assert output.err == "--origin: there is no such origin; choose one of zksync, starknet\n"


def test_json_keeps_every_digit(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(UINT256_MAX, amount=UINT256_MAX))
    fail(store, store.orders.get([f"zksync:{UINT256_MAX}"])[0], HOSTILE)
    (row,) = json.loads(mmbot("orders", "--json").out)
    assert row["key"] == f"zksync:{UINT256_MAX}"
    assert row["amount_wei"] == str(UINT256_MAX)
    assert (row["status"], row["failed"], row["parked"]) == ("PENDING", True, True)
    assert row["reason"] == HOSTILE


def test_the_list_separates_parked_from_retried(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(1), an_order(2), an_order(3))
    parked, soon, due = store.orders.get(["zksync:1", "zksync:2", "zksync:3"])
    fail(store, parked, "no thanks")
    fail(store, soon, "out of funds", datetime.now(UTC) + timedelta(minutes=5, seconds=30))
    fail(store, due, "out of funds", NOON - timedelta(days=365))
    out = mmbot("orders").out
    lines = {row[0]: " ".join(row) for row in rows(out)}
    assert "parked" in lines["zksync:1"]
    assert "zksync:1: no thanks\n" in out
    assert "failed, again in 5 min" in lines["zksync:2"]
    assert "failed, again now" in lines["zksync:3"]


def test_status_has_every_state(mmbot: Mmbot) -> None:
    for status in Status:
        assert mmbot("orders", "--status", status).code == 0
