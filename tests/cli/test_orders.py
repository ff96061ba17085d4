"""mmbot orders, retry and migrate, on a real Postgres."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db.embedded import stop
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.migrate import pending
from mmbot_pipelines.adapters.db.orders import PgOrders
from mmbot_pipelines.bridge.order import Fact, Order, Status
from mmbot_pipelines.bridge.ports import Cursor, Fault, Orders, Scan
from mmbot_pipelines.cli import screen
from mmbot_pipelines.core.money import UINT256_MAX, Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Outcome, Receipt, Transaction, TxState
from tests.bridge.orders import NOON, an_order
from tests.cli.command import Mmbot, caller

WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
HASH = TxHash("0x" + "ee" * 32)
HOSTILE = "[red]no[/red] \x1b[2J\x07 thanks \u202egnp.exe"


@pytest.fixture
def store(database_url: str) -> PgOrders:
    return PgOrders(connect(database_url))


@pytest.fixture
def mmbot(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    return caller({"MMBOT_DATABASE_URL": database_url}, capsys, monkeypatch)


def add(store: Orders, *orders: Order) -> None:
    scan = Scan(last=Block(10, "0x" + "ab" * 32), orders=list(orders), faults=[])
    store.add(orders[0].origin, Cursor.LATEST, scan, at=NOON, run_id="tick-1")


def step(store: Orders, order: Order, fact: Fact, seconds: int, reason: str | None = None) -> Order:
    at = NOON + timedelta(seconds=seconds)
    after = order.after(fact, at=at, reason=reason)
    return store.change(order, after, run_id=f"run-{seconds}", at=at)


def fail(store: Orders, order: Order, why: str, next_attempt_at: datetime | None = None) -> Order:
    after = order.failing(why, failed=True, next_attempt_at=next_attempt_at)
    fault = Fault(subject=order.key, step="transfer", kind="RevertForeseen", message=why)
    return store.change(order, after, run_id="run-x", at=NOON, fault=fault)


def send(store: Orders, order: Order) -> tuple[Order, Transaction]:
    sent = Transaction(
        subject=order.key,
        purpose="transfer",
        attempt=order.attempt,
        chain_id=1,
        wallet=WALLET,
        nonce=41,
        hash=HASH,
        raw=b"\x02signed",
        call=Call(to=WALLET, data=b"", value=order.amount),
        gas=Gas(130_000),
        fees=Fees(base=Wei(10**9), priority=Wei(1), ceiling=Wei(2 * 10**9)),
        stored_at=NOON,
    )
    with store.lane(1, WALLET) as lane:
        (before,) = lane.hold([order])
        after = before.after(Fact.SENT, at=NOON, tx=HASH)
        lane.store(before, after, sent, "run-send")
    return store.get([order.key])[0], sent


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if ":" in line]


def test_no_orders_yet(mmbot: Mmbot) -> None:
    said = mmbot("orders")
    assert (said.code, said.out) == (
        0,
        "no such orders (database: the one of MMBOT_DATABASE_URL)\n",
    )
    assert json.loads(mmbot("orders", "--json").out) == []


def test_the_list_shows_each_order_in_a_line(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7), an_order(UINT256_MAX, amount=UINT256_MAX, fee=1))
    add(store, an_order(7, origin="starknet"))
    said = mmbot("orders")
    assert said.code == 0
    assert {row[0] for row in rows(said.out)} == {
        "zksync:7",
        "starknet:7",
        f"zksync:{UINT256_MAX}",
    }
    assert "PENDING" in said.out
    assert "0.01 ETH" in said.out
    assert "  1 wei  " in said.out
    assert f"{str(UINT256_MAX)[:-18]}.{str(UINT256_MAX)[-18:]} ETH" in said.out


def test_only_the_reason_gives_way_on_a_narrow_terminal(
    store: PgOrders, mmbot: Mmbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "_PIPED_WIDTH", 90)
    add(store, an_order(7))
    fail(store, store.get(["zksync:7"])[0], "the call would revert: " + "why " * 100)
    out = mmbot("orders").out
    (line,) = (line for line in out.splitlines() if "zksync:7" in line)
    for part in ("PENDING", "parked", "0.01 ETH", "0.001 ETH", "ago", "the call", "…"):
        assert part in line


def test_the_list_can_be_narrowed(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, *(an_order(n) for n in range(4)))
    add(store, an_order(0, origin="starknet"))
    orders = {o.key: o for o in store.get(["zksync:1", "zksync:2"])}
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


def test_an_unknown_status_is_said_with_those_that_are(mmbot: Mmbot) -> None:
    said = mmbot("orders", "--status", "LOST")
    assert said.code == 2
    assert "FULFILLED" in said.err.upper()


def test_what_a_claim_goes_by_is_shown(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7, origin="starknet"))
    (order,) = store.get(["starknet:7"])
    claimed = replace(order, claim_ref="message 0x" + "ab" * 32)
    store.change(order, claimed, run_id="run-1", at=NOON)
    assert f"  claim      message 0x{'ab' * 32}" in mmbot("orders", "show", "starknet:7").out
    (row,) = json.loads(mmbot("orders", "--json").out)
    assert row["claim_ref"] == "message 0x" + "ab" * 32


def test_json_keeps_every_digit(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(UINT256_MAX, amount=UINT256_MAX))
    fail(store, store.get([f"zksync:{UINT256_MAX}"])[0], HOSTILE)
    (row,) = json.loads(mmbot("orders", "--json").out)
    assert row["key"] == f"zksync:{UINT256_MAX}"
    assert row["amount_wei"] == str(UINT256_MAX)
    assert (row["status"], row["failed"], row["parked"]) == ("PENDING", True, True)
    assert row["reason"] == HOSTILE


def test_the_list_tells_parked_from_tried_again(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(1), an_order(2), an_order(3))
    parked, soon, due = store.get(["zksync:1", "zksync:2", "zksync:3"])
    fail(store, parked, "no thanks")
    fail(store, soon, "out of funds", datetime.now(UTC) + timedelta(minutes=5, seconds=30))
    fail(store, due, "out of funds", NOON - timedelta(days=365))
    lines = {row[0]: " ".join(row) for row in rows(mmbot("orders").out)}
    assert "parked" in lines["zksync:1"]
    assert "no thanks" in lines["zksync:1"]
    assert "failed, again in 5 min" in lines["zksync:2"]
    assert "failed, again now" in lines["zksync:3"]


def test_the_whole_story_of_an_order(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    order = step(store, store.get(["zksync:7"])[0], Fact.ACCEPTED, 1)
    order = replace(fail(store, order, "RevertForeseen: no\nthanks"))
    order = store.change(order, order.cleared(), run_id="run-hand", at=NOON)
    order, sent = send(store, order)
    receipt = Receipt(
        hash=HASH,
        succeeded=True,
        block=Block(77, "0x" + "07" * 32),
        gas_used=Gas(106_000),
        gas_price=Wei(10**9 + 1),
    )
    store.decide(
        Outcome(transaction=sent, state=TxState.MINED, receipt=receipt),
        order,
        order.after(Fact.MINED, at=NOON + timedelta(seconds=9)),
        run_id="run-receipts",
        at=NOON + timedelta(seconds=9, microseconds=123_456),
    )
    said = mmbot("orders", "show", "zksync:7")
    assert said.code == 0
    for part in (
        "zksync:7  FULFILLED",
        "0.01 ETH (10000000000000000 wei)",
        "recipient  0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "2026-11-20 12:00:00.000  seen, PENDING  run tick-1",
        "2026-11-20 12:00:01.000  PENDING -> PROCESSING  run run-1",
        "PROCESSING -> TRANSFERRING  run run-send",
        "2026-11-20 12:00:09.123  TRANSFERRING -> FULFILLED  run run-receipts",
        f"transaction {HASH}",
        "transfer 1, nonce 41, MINED in block 77",
        f"hash {HASH}",
        "gas used 106000 at 1.000000001 gwei, cost 0.000106000000106 ETH (106000000106000 wei)",
        "Errors (1)",
        "transfer: RevertForeseen  run run-x",
    ):
        assert part in said.out
    assert "      thanks" in said.out.splitlines()


def test_all_errors_are_told(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    for number in range(250):
        fault = Fault(subject="zksync:7", step="scan", kind="Malformed", message=f"fault {number}.")
        store.note(fault, at=NOON, run_id="run")
    said = mmbot("orders", "show", "zksync:7")
    assert "Errors (250)" in said.out
    assert all(f"fault {number}." in said.out for number in range(250))


def test_a_transaction_that_is_not_mined_shows_what_it_may_cost(
    store: PgOrders, mmbot: Mmbot
) -> None:
    add(store, an_order(7))
    send(store, step(store, store.get(["zksync:7"])[0], Fact.ACCEPTED, 1))
    said = mmbot("orders", "show", "zksync:7")
    assert "STORED" in said.out
    assert "gas limit 130000 at up to 2 gwei, at most 0.00026 ETH (260000000000000 wei)" in said.out


def test_a_transaction_and_what_replaced_it_are_told_apart(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    order, first = send(store, step(store, store.get(["zksync:7"])[0], Fact.ACCEPTED, 1))
    second = replace(
        first,
        bump=1,
        hash=TxHash("0x" + "ff" * 32),
        fees=Fees(base=Wei(10**9), priority=Wei(1), ceiling=Wei(3 * 10**9)),
    )
    with store.lane(1, WALLET) as lane:
        lane.replace(second)
    undecided = mmbot("orders", "show", "zksync:7").out
    assert "transfer 1, nonce 41, STORED\n" in undecided
    assert "transfer 1, nonce 41, replacement 1, STORED\n" in undecided
    assert "at up to 2 gwei" in undecided
    assert "at up to 3 gwei" in undecided
    receipt = Receipt(
        hash=second.hash,
        succeeded=True,
        block=Block(77, "0x" + "07" * 32),
        gas_used=Gas(106_000),
        gas_price=Wei(10**9),
    )
    store.decide(
        Outcome(transaction=second, state=TxState.MINED, receipt=receipt, rivals=[first]),
        order,
        order.after(Fact.MINED, at=NOON, tx=second.hash),
        run_id="run-receipts",
        at=NOON,
    )
    decided = mmbot("orders", "show", "zksync:7").out
    assert "transfer 1, nonce 41, REPLACED\n" in decided
    assert "      cost nothing: another one of ours used its nonce\n" in decided
    assert "transfer 1, nonce 41, replacement 1, MINED in block 77\n" in decided
    assert "at most" not in decided


def test_text_from_a_chain_is_only_text(store: PgOrders, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    fail(store, store.get(["zksync:7"])[0], HOSTILE)
    for arguments in (["orders"], ["orders", "show", "zksync:7"]):
        said = mmbot(*arguments)
        assert said.code == 0
        assert "[red]no[/red]" in said.out
        assert not {"\x1b", "\x07", "\u202e"} & set(said.out)


def test_an_embedded_database_is_named_where_nothing_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mmbot = caller({"DAGSTER_HOME": str(tmp_path)}, capsys, monkeypatch)
    folder = tmp_path / "postgres"
    try:
        assert f"the embedded one in {folder}" in mmbot("orders").out
        assert f"the embedded one in {folder}" in mmbot("orders", "show", "zksync:7").err
    finally:
        stop(folder)


def test_an_order_that_does_not_exist(mmbot: Mmbot) -> None:
    for key in ("zksync:7", "nonsense", "zksync:" + "9" * 100):
        said = mmbot("orders", "show", key)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(f"{key}: no such order")


def test_a_database_that_is_away_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://bot:hunter2@127.0.0.1:1/mmbot"
    said = caller({"MMBOT_DATABASE_URL": url}, capsys, monkeypatch)("orders")
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("StoreUnavailable: ")
    assert "hunter2" not in said.err


def test_bad_settings_are_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mmbot = caller({"MMBOT_DATABASE_URL": "mysql://a"}, capsys, monkeypatch)
    said = mmbot("orders")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("MMBOT_DATABASE_URL must be a Postgres URL")
    said = mmbot("retry", "zksync:7")
    assert said.code == 2
    assert len(said.err.splitlines()) > 5
    assert all(line.startswith("MMBOT_") for line in said.err.splitlines())


def test_migrate_brings_an_empty_database_up_to_date(
    empty_database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"MMBOT_DATABASE_URL": empty_database_url, "MMBOT_AUTO_MIGRATE": "false"}
    mmbot = caller(environ, capsys, monkeypatch)
    said = mmbot("orders")
    assert said.code == 2
    assert "mmbot migrate" in said.err
    assert pending(empty_database_url)
    assert "is migrated" in mmbot("migrate").out
    assert not pending(empty_database_url)
    assert "already" in mmbot("migrate").out
    assert mmbot("orders").code == 0


def test_status_has_every_state(mmbot: Mmbot) -> None:
    for status in Status:
        assert mmbot("orders", "--status", status).code == 0
