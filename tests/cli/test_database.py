"""The database that mmbot reads: away, unset or not migrated."""

import pytest

from mmbot_pipelines.adapters.db.versions import pending
from tests.cli.command import caller


def test_a_database_that_is_away_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://bot:hunter2@127.0.0.1:1/mmbot"
    output = caller({"MMBOT_DATABASE_URL": url}, capsys, monkeypatch)("orders")
    assert output.code == 2
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert output.err.startswith("StoreUnavailable: ")
    assert "hunter2" not in output.err


def test_bad_settings_are_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mmbot = caller({"MMBOT_DATABASE_URL": "mysql://a"}, capsys, monkeypatch)
    for command in (["orders"], ["retry", "zksync:7"]):
        output = mmbot(*command)
        assert (output.code, output.out) == (2, "")
        assert output.err.startswith("MMBOT_DATABASE_URL must be a Postgres URL")
    output = mmbot("delegation")
    assert output.code == 2
    assert len(output.err.splitlines()) > 5
    assert all(line.startswith("MMBOT_") for line in output.err.splitlines())


def test_migrate_brings_an_empty_database_up_to_date(
    empty_database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"MMBOT_DATABASE_URL": empty_database_url, "MMBOT_AUTO_MIGRATE": "false"}
    mmbot = caller(environ, capsys, monkeypatch)
    output = mmbot("orders")
    assert output.code == 2
    assert "mmbot migrate" in output.err
    assert pending(empty_database_url)
    assert "is migrated" in mmbot("migrate").out
    assert not pending(empty_database_url)
    assert "already" in mmbot("migrate").out
    assert mmbot("orders").code == 0
