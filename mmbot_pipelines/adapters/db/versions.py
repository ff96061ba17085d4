"""Whether a database is the bot's. Without Alembic, which takes long to import."""

from sqlalchemy import NullPool, create_engine, text

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables import SCHEMA
from mmbot_pipelines.adapters.db.urls import store_url

_CONNECT_SECONDS = 5


def migrated(url: str) -> bool:
    """Return whether any release of the bot has made its tables there; nothing is written.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    engine = create_engine(
        store_url(url), poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS}
    )
    table = f"{SCHEMA}.alembic_version"
    with transaction(engine) as connection:
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": table}) is None:
            return False
        return connection.scalar(text(f"SELECT 1 FROM {table} LIMIT 1")) is not None  # noqa: S608
