"""`mmbot demo` as a new user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from mmbot_pipelines.devnet import accounts

MMBOT = str(Path(sys.executable).parent / "mmbot")
WAY = ["PENDING", "PROCESSING", "TRANSFERRING", "FULFILLED", "PROVING", "PROVED", "COMPLETED"]


def left_of(home: Path) -> list[str]:
    """List the processes that still have to do with a demo's folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "environ"]):
        reported = " ".join(process.info["cmdline"] or [])
        environ = process.info["environ"] or {}
        if str(home) in reported or str(home) in environ.get("DAGSTER_HOME", ""):
            found.append(reported)
    return found


def text_of_everything(home: Path) -> str:
    """Read all that a demo wrote to disk, the database's own files included."""
    return "".join(
        path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file()
    )


@pytest.mark.timeout(800)
def test_the_demo_ends_with_every_order_where_it_belongs(tmp_path: Path) -> None:
    home, out = tmp_path / "demo", tmp_path / "out.json"
    done = subprocess.run(
        [
            MMBOT,
            "demo",
            "--orders",
            "12",
            "--exit",
            "--timeout",
            "700",
            "--json",
            str(out),
            "--home",
            str(home),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    reported = json.loads(out.read_text())
    orders = reported["orders"]
    assert sum(reported["summary"].values()) == len(orders) == 12
    assert reported["summary"]["COMPLETED"] == 9
    completed = [o for o in orders if o["status"] == "COMPLETED"]
    for order in completed:
        assert list(order["states"]) == WAY
        times = [datetime.fromisoformat(at) for at in order["states"].values()]
        assert times == sorted(times)
        assert times[0].utcoffset() is not None
        assert re.fullmatch("0x[0-9a-f]{64}", order["transfer_tx"])
        assert re.fullmatch("0x[0-9a-f]{64}", order["claim_tx"])
    # Both networks count from 0, and each order has its own payment and claim.
    assert {"zksync:0", "zksync:1", "starknet:0", "starknet:1"} <= {o["key"] for o in orders}
    for kind in ("transfer_tx", "claim_tx"):
        assert len({order[kind] for order in completed}) == len(completed)
    reasons = sorted(o["reason"] for o in orders if o["status"] == "DROPPED")
    assert "above the maximum we transfer" in reasons[0]
    assert "is below the margin" in reasons[1]
    (parked,) = [o for o in orders if o["parked"]]
    assert parked["failed"]
    assert "Transfer failed." in parked["reason"]
    assert left_of(home) == []
    key = accounts.account(accounts.MARKET_MAKER).key.hex()
    everything = text_of_everything(home)
    assert "zksync:0" in everything
    assert key not in everything


def test_ctrl_c_stops_everything_at_once(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    demo = subprocess.Popen(
        [MMBOT, "demo", "--home", str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "MMBOT_ORIGINS": "zksync"},
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "Dagster UI: http://127.0.0.1:" in line:
            break
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=120) == 0  # by its promise in 10 seconds, where nothing else runs
    demo.stdout.close()
    assert left_of(home) == []
