"""mmbot report: what a person reads, and what a program reads."""

import csv
import json
from pathlib import Path

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from tests.bridge.orders import an_order
from tests.cli.command import Mmbot
from tests.cli.stored_orders import add, step

DAY = ("--from", "2026-11-20", "--to", "2026-11-20")


def settled(store: PgBridgeStore, number: int, fee: int) -> None:
    add(store, an_order(number, fee=fee))
    (order,) = store.orders.get([f"zksync:{number}"])
    step(store, step(store, order, Fact.PAID, 4), Fact.SETTLED, 64)


def test_a_person_reads_a_line_a_day_and_origin(store: PgBridgeStore, mmbot: Mmbot) -> None:
    settled(store, 7, 10**15)
    lines = mmbot("report", *DAY).out.splitlines()
    assert lines[0].strip() == "2026-11-20 to 2026-11-20, UTC"
    (line,) = (line for line in lines if "zksync" in line)
    assert line.split()[:3] == ["2026-11-20", "zksync", "1"]
    assert "0.001 ETH" in line
    assert "4.0 s" in line
    assert "60.0 s" in line
    assert [line.split()[0] for line in lines if "0.001 ETH" in line] == ["2026-11-20", "total"]


def test_json_and_csv_have_every_wei(store: PgBridgeStore, mmbot: Mmbot, tmp_path: Path) -> None:
    fee = 10**60 + 1
    settled(store, 7, fee)
    file = tmp_path / "report.csv"
    day, total = json.loads(mmbot("report", *DAY, "--json", "--csv", str(file)).out)
    assert (day["day"], day["origin"], day["completed"]) == ("2026-11-20", "zksync", 1)
    assert day["profit_wei"] == total["earned_wei"] == str(fee)
    assert (day["transfer_p50"], day["repayment_p95"]) == (4.0, 60.0)
    assert (day["lost_to_strangers_wei"], day["starknet_fees"], day["undecided"]) == ("0", 0, 0)
    assert day["margin_bps"] == f"{fee * 10**6 // 10**16 // 100}.00"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["profit"] for row in rows] == [str(fee)] * 2


def test_other_days_are_left_out(store: PgBridgeStore, mmbot: Mmbot) -> None:
    settled(store, 7, 1)
    (total,) = json.loads(mmbot("report", "--to", "2026-11-19", "--json").out)
    assert (total["found"], total["transfer_p50"]) == (0, None)


def test_days_that_cannot_be_are_refused(store: PgBridgeStore, mmbot: Mmbot) -> None:
    output = mmbot("report", "--from", "2026-11-21", "--to", "2026-11-20")
    assert output.code == 2
    assert output.err == "--from 2026-11-21 is after --to 2026-11-20: swap them\n"
    assert mmbot("report", "--from", "yesterday").code == 2


def test_a_file_that_cannot_be_written_is_named(
    store: PgBridgeStore, mmbot: Mmbot, tmp_path: Path
) -> None:
    output = mmbot("report", "--csv", str(tmp_path / "no" / "report.csv"))
    assert output.code == 2
    assert "report.csv cannot be written" in output.err
