"""mmbot status: green when all is well, else what waits for a person."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.ports.accounts import BalanceMark
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Account
from tests.bridge.orders import an_order
from tests.cli.command import Mmbot
from tests.cli.stored_orders import HOSTILE, WALLET, add, fail, send, step

RUNNING_OUT = Alert(
    key="wallet-short", severity=Severity.HIGH, title="too little ETH", text="send some"
)


@pytest.fixture
def _daemon_is_alive(database_url: str) -> None:
    PgDaemons(connect(database_url)).record_heartbeat("daemon-1", at=datetime.now(UTC))


def test_a_bot_that_nobody_started_is_not_well(mmbot: Mmbot, store: PgBridgeStore) -> None:
    output = mmbot("status")
    assert output.code == 1
    assert "1 thing waits for you" in output.out
    assert "no Dagster daemon sends heartbeats" in output.out
    assert "dagster-daemon run" in output.out


@pytest.mark.usefixtures("_daemon_is_alive")
def test_all_is_well(mmbot: Mmbot, store: PgBridgeStore, database_url: str) -> None:
    add(store, an_order(1), an_order(2), an_order(3))
    orders = {o.key: o for o in store.orders.get(["zksync:1", "zksync:2"])}
    step(store, orders["zksync:1"], Fact.REFUSED, 1, "fee too low")
    send(store, step(store, orders["zksync:2"], Fact.ACCEPTED, 2))
    mark = BalanceMark(
        account=Account(nonce=7, balance=Wei(3 * 10**18), block=None), at=datetime.now(UTC)
    )
    PgAccounts(connect(database_url)).mark_balance(1, WALLET, mark)
    output = mmbot("status")
    assert output.code == 0
    assert output.out.startswith("all is well\n")
    for part in (
        "NORMAL",
        "2 unfinished (1 PENDING, 1 TRANSFERRING), the oldest ",
        "0 failed and tried again, 0 parked",
        "0.01 ETH out, not yet repaid",
        f"{WALLET} had 3 ETH on chain 1 0 s ago",
        "zksync to block 10",
        "alive 0 s ago",
    ):
        assert part in output.out
    assert "wei" not in output.out


@pytest.mark.usefixtures("_daemon_is_alive")
def test_a_parked_order_is_named_with_its_reason_and_remedy(
    mmbot: Mmbot, store: PgBridgeStore
) -> None:
    add(store, an_order(1), an_order(2))
    orders = {o.key: o for o in store.orders.get(["zksync:1", "zksync:2"])}
    fail(store, orders["zksync:1"], "the recipient refuses\nsecond line")
    fail(store, orders["zksync:2"], "later", datetime.now(UTC) + timedelta(hours=1))
    output = mmbot("status")
    assert output.code == 1
    assert (
        "zksync:1 is parked at PENDING: the recipient refuses; `mmbot retry zksync:1`" in output.out
    )
    assert "second line" not in output.out
    assert "1 failed and tried again, 1 parked" in output.out


@pytest.mark.usefixtures("_daemon_is_alive")
def test_more_parked_orders_than_are_shown_are_counted(mmbot: Mmbot, store: PgBridgeStore) -> None:
    add(store, *(an_order(n) for n in range(12)))
    for order in store.orders.get([f"zksync:{n}" for n in range(12)]):
        fail(store, order, "no")
    assert "2 more orders are parked; `mmbot orders --failed` lists them" in mmbot("status").out


@pytest.mark.usefixtures("_daemon_is_alive")
def test_a_halt_is_named(mmbot: Mmbot, store: PgBridgeStore) -> None:
    mmbot("halt", "--by", "Ada", "--reason", "key rotation", "--scope", "zksync")
    output = mmbot("status")
    assert output.code == 1
    assert "zksync is HALTED since " in output.out
    assert "by Ada: key rotation" in output.out
    mmbot("resume", "--by", "Ada", "--reason", "done", "--scope", "zksync")
    assert mmbot("status").code == 0


@pytest.mark.usefixtures("_daemon_is_alive")
def test_an_open_alert_is_not_well(mmbot: Mmbot, store: PgBridgeStore, database_url: str) -> None:
    log, now = PgAlertLog(connect(database_url)), datetime.now(UTC)
    log.observe(JOURNAL, AlertSnapshot(alerts=[RUNNING_OUT], unknown=frozenset()), at=now)
    output = mmbot("status")
    assert output.code == 1
    assert output.out.startswith("alerts are open\n")
    assert "[HIGH] too little ETH" in output.out
    log.observe(JOURNAL, AlertSnapshot(alerts=[], unknown=frozenset()), at=now)
    assert mmbot("status").code == 0


@pytest.mark.usefixtures("_daemon_is_alive")
def test_a_strangers_text_is_shown_as_text(mmbot: Mmbot, store: PgBridgeStore) -> None:
    add(store, an_order(1))
    fail(store, store.orders.get(["zksync:1"])[0], HOSTILE)
    out = mmbot("status").out
    assert "[red]no[/red]" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


@pytest.mark.usefixtures("_daemon_is_alive")
def test_json_has_every_digit(mmbot: Mmbot, store: PgBridgeStore) -> None:
    add(store, an_order(1, amount=10**18 + 1))
    send(store, step(store, store.orders.get(["zksync:1"])[0], Fact.ACCEPTED, 2))
    output = mmbot("status", "--json")
    found = json.loads(output.out)
    assert output.code == 0
    assert found["well"] is True
    assert found["problems"] == []
    assert found["exposure_wei"] == str(10**18 + 1)
    assert found["unfinished"] == {"TRANSFERRING": 1}
    assert found["cursors"] == {"zksync latest": 10}


@pytest.mark.usefixtures("_daemon_is_alive")
def test_a_dry_run_is_shown(
    mmbot: Mmbot, store: PgBridgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not json.loads(mmbot("status", "--json").out)["dry_run"]
    monkeypatch.setenv("MMBOT_DRY_RUN", "true")
    assert json.loads(mmbot("status", "--json").out)["dry_run"]
    for command in ("status", "orders"):
        shown = mmbot(command).out
        assert "MMBOT_DRY_RUN is true: all is decided and simulated, nothing is signed" in shown
