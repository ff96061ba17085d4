"""The panicking person: `mmbot halt` in a shell that does not lead to the bot's database."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db import embedded, migrate, versions
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.versions import pending
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from tests.cli.command import caller
from tests.settings.environments import GOOD

COMMANDS = [
    ("halt", "--by", "Ann", "--reason", "money leaves"),
    ("resume", "--by", "Ann", "--reason", "well"),
    ("safety",),
    ("orders",),
    ("orders", "--json"),
    ("orders", "show", "zksync:7"),
    ("retry", "zksync:7"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_the_bots_settings_nothing_is_created_and_the_person_is_warned(
    command: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "nowhere"
    monkeypatch.chdir(tmp_path)
    for environ in ({}, {"DAGSTER_HOME": str(home)}):
        keys = GOOD if command[0] == "retry" else {}
        logged = caller(keys | environ, capsys, monkeypatch)(*command)
        assert (logged.code, logged.out) == (2, "")
        assert len(logged.err.splitlines()) == 1
        assert "MMBOT_DATABASE_URL is not set" in logged.err
        assert "nothing was done; load the bot's settings" in logged.err
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_the_bot_never_used_is_left_alone(
    command: tuple[str, ...],
    empty_database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = GOOD | {"MMBOT_DATABASE_URL": empty_database_url}
    logged = caller(environ, capsys, monkeypatch)(*command)
    assert (logged.code, logged.out) == (2, "")
    assert logged.err.startswith("MMBOT_DATABASE_URL names a database without the bot's tables")
    assert not versions.migrated(empty_database_url)


def test_the_output_names_the_database_without_its_password(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"MMBOT_DATABASE_URL": database_url.replace("postgres@", "postgres:hunter2@")}
    mmbot = caller(environ, capsys, monkeypatch)
    name = database_url.partition("?")[0].rpartition("/")[2]
    logged = [mmbot(*command) for command in COMMANDS if command[0] != "retry"]
    for each in logged:
        assert f"{name} at /" in each.out + each.err, each
        assert "hunter2" not in each.out + each.err
    assert "database: " not in logged[4].out  # JSON, for another program


def test_an_embedded_database_is_joined_while_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "postgres"
    mmbot = caller({"DAGSTER_HOME": str(tmp_path)}, capsys, monkeypatch)
    try:
        url = embedded.embedded_url(folder)
        migrate.upgrade(url)
        logged = mmbot("halt", "--by", "Ann", "--reason", "a look")
        assert (logged.code, logged.err) == (0, "")
        assert f"database: the embedded one in {folder}" in logged.out
        assert (
            state_of(PgBridgeStore(connect(url)).safety.scope_states(), GLOBAL).state
            is State.HALTED
        )
    finally:
        embedded.stop(folder)
    assert mmbot("safety").code == 2
    assert not embedded.is_running(folder)


@pytest.mark.parametrize("command", ["show", "retry"])
def test_what_is_no_order_key_is_not_repeated(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "ab" * 32
    arguments = ("orders", "show", key) if command == "show" else ("retry", "zksync:1", key)
    logged = caller(GOOD, capsys, monkeypatch)(*arguments)
    assert (logged.code, logged.out) == (2, "")
    assert "is no order's key" in logged.err
    assert key not in logged.err


def test_a_halt_waits_for_no_migration_and_makes_none(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.downgrade(database_url, "0016")
    for auto in ("true", "false"):
        environ = {"MMBOT_DATABASE_URL": database_url, "MMBOT_AUTO_MIGRATE": auto}
        logged = caller(environ, capsys, monkeypatch)("halt", "--by", "Ann", "--reason", "no")
        assert logged.code == 0, logged.err
    assert pending(database_url)
    engine = connect(database_url)
    assert state_of(PgBridgeStore(engine).safety.scope_states(), GLOBAL).state is State.HALTED
    engine.dispose()


def test_a_halt_imports_no_chain() -> None:
    """It takes seconds of a busy machine, which the person has not."""
    slow = {"alembic", "dagster", "eth_account", "requests", "starknet_py", "web3"}
    program = f"import sys, mmbot_pipelines.cli.safety; print(*({slow} & set(sys.modules)))"
    logged = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert logged.stdout.decode().split() == []
