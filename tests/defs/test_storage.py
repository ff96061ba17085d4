"""Dagster's storage in the one database."""

import pytest
from dagster_postgres.run_storage import PostgresRunStorage
from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.defs.storage import Storage


def test_the_ui_goes_on_when_postgres_has_cut_its_connection(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMBOT_DATABASE_URL", database_url)
    monkeypatch.setattr(Storage, "_has_tables", False)
    runs = Storage.from_config_value(None, {}).run_storage
    assert isinstance(runs, PostgresRunStorage)
    runs.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=1)
    first = runs.get_run_storage_id()
    others = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with create_engine(store_url(database_url), isolation_level="AUTOCOMMIT").connect() as postgres:
        assert postgres.execute(others).scalar_one() >= 1
        while postgres.execute(others).scalar_one():  # a backend ends when it gets to it
            continue
    assert runs.get_run_storage_id() == first
