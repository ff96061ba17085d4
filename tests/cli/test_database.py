"""The database that mmbot reads: away, unset or not migrated."""

import pytest

from mmbot_pipelines.adapters.db.migrate import pending
from tests.cli.command import caller


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
