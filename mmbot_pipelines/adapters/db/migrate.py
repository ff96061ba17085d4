"""Bring the database's schema up to the code's: automatic in demo and dev, by hand otherwise."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, NullPool, create_engine, func, select
from sqlalchemy.schema import CreateSchema

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables import SCHEMA
from mmbot_pipelines.adapters.db.urls import DAGSTER_SCHEMA, store_url
from mmbot_pipelines.core.errors import InvalidSettings

_LOCK = 0x6D6D626F74  # "mmbot": one migration of a database at a time


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate to `revision` and make the schema for Dagster's storage, all or nothing.

    Safe when several processes start together: one migrates, the others wait for it.

    Raises:
        StoreUnavailable: the database cannot be reached; nothing was migrated.
        InvalidSettings: a newer release has migrated this database.
    """
    with transaction(_engine(url)) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        for schema in (SCHEMA, DAGSTER_SCHEMA):
            if not _has_schema(connection, schema):
                connection.execute(CreateSchema(schema))
        try:
            command.upgrade(_config(connection), revision)
        except CommandError as e:
            raise InvalidSettings(
                f"MMBOT_DATABASE_URL: a newer mmbot has migrated this database, "
                f"install that release ({e})"
            ) from None


def downgrade(url: str, revision: str) -> None:
    """Take migrations back down to `revision`, or all of them for "base": their data is lost."""
    with transaction(_engine(url)) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        command.downgrade(_config(connection), revision)


def _engine(url: str) -> Engine:
    # without the store's timeouts: waiting for another process's migration may take long
    return create_engine(store_url(url), poolclass=NullPool, connect_args={"connect_timeout": 5})


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _has_schema(connection: Connection, name: str) -> bool:
    return connection.scalar(select(func.to_regnamespace(name))) is not None
