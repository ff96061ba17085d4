"""The migrations create the declared tables, once, however many processes start at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.schema import CreateSchema

from mmbot_pipelines.adapters.db import migrate
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.tables import SCHEMA, metadata
from mmbot_pipelines.adapters.db.urls import DAGSTER_SCHEMA, store_url
from mmbot_pipelines.adapters.db.versions import newest, pending
from mmbot_pipelines.core.errors import InvalidSettings, StoreUnavailable
from mmbot_pipelines.core.safety import GLOBAL, State, resume
from tests.ports.store_writes import decided


def engine(url: str) -> Engine:
    return create_engine(store_url(url), poolclass=NullPool)


def test_alembic_finds_no_difference(database_url: str) -> None:
    options = {
        "version_table_schema": SCHEMA,
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine(database_url).connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_constraints_and_indexes_are_those_of_the_tables(
    database_url: str, empty_database_url: str
) -> None:
    """Alembic compares neither checks nor what an index is made of."""
    with engine(empty_database_url).begin() as connection:
        connection.execute(CreateSchema(SCHEMA))
        metadata.create_all(connection)
        described = definitions(connection)
    with engine(database_url).connect() as connection:
        assert definitions(connection) == described
    assert len(described) > 40


def test_up_down_and_up_again(empty_database_url: str) -> None:
    assert pending(empty_database_url)
    migrate.upgrade(empty_database_url)
    assert not pending(empty_database_url)
    assert tables(empty_database_url) == {table.name for table in metadata.tables.values()}

    migrate.downgrade(empty_database_url, "base")
    assert pending(empty_database_url)
    assert tables(empty_database_url) == set()

    migrate.upgrade(empty_database_url)
    migrate.upgrade(empty_database_url)
    assert not pending(empty_database_url)


OF_THE_FIRST_RELEASE = """INSERT INTO mmbot.safety (scope, state, since, by_whom, why)
    VALUES ('global', 'HALTED', '2026-01-01 00:00:00+00', 'Ann', 'a look')"""


def test_a_halt_outlives_every_migration_and_a_person_ends_it(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0002")
    with engine(empty_database_url).begin() as connection:
        connection.execute(text(OF_THE_FIRST_RELEASE))
    for down in ("0002", "0003", "0016"):
        migrate.downgrade(empty_database_url, down)
        migrate.upgrade(empty_database_url)
        (standing,) = PgBridgeStore(engine(empty_database_url)).safety.scope_states()
        assert (standing.state, standing.by, standing.why) == (State.HALTED, "Ann", "a look")
    store, now = PgBridgeStore(engine(empty_database_url)), datetime.now(UTC)
    assert (
        decided(resume, store, GLOBAL, by="Bob", reason="all is well", at=now).state is State.NORMAL
    )


def test_alembic_knows_the_newest_migration_as_we_do() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    assert ScriptDirectory(folder).get_heads() == [newest()]


def test_many_start_together(empty_database_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(migrate.upgrade, empty_database_url) for _ in range(8)]:
            done.result()
    assert not pending(empty_database_url)


def test_dagsters_schema_is_there(database_url: str) -> None:
    with engine(database_url).connect() as connection:
        assert DAGSTER_SCHEMA in inspect(connection).get_schema_names()


def test_a_database_of_a_newer_release_is_left_alone(database_url: str) -> None:
    with engine(database_url).begin() as connection:
        connection.execute(text("UPDATE mmbot.alembic_version SET version_num = '9999'"))
    assert pending(database_url)
    with pytest.raises(InvalidSettings, match=r"newer mmbot .* '9999'"):
        migrate.upgrade(database_url)


def test_no_database_is_one_line() -> None:
    url = "postgresql://mmbot:s3cret@127.0.0.1:1/mmbot"
    for asked in (migrate.upgrade, pending):
        with pytest.raises(StoreUnavailable) as e:
            asked(url)
        assert "mmbot at 127.0.0.1" in str(e.value)
        assert "\n" not in str(e.value)
        assert "s3cret" not in str(e.value)


def tables(url: str) -> set[str]:
    with engine(url).connect() as connection:
        return set(inspect(connection).get_table_names(SCHEMA)) - {"alembic_version"}


def definitions(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        text(
            "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
            " WHERE connamespace = 'mmbot'::regnamespace AND conrelid::regclass::text"
            " NOT LIKE '%alembic_version'"
            " UNION ALL SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'mmbot' AND tablename <> 'alembic_version'"
        )
    )
    return {row.conname: row.definition for row in rows}
