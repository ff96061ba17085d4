"""Whether a database is the bot's, and of this version; without Alembic, slow to import."""

from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables import SCHEMA
from mmbot_pipelines.adapters.db.urls import store_url

_CONNECT_SECONDS = 5
_TABLE = f"{SCHEMA}.alembic_version"


def migrated(url: str) -> bool:
    """Return whether any release of the bot has made its tables there; nothing is written.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    return bool(_revisions(url))


def pending(url: str) -> bool:
    """Return whether the database lacks a migration of this version; nothing is written.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    return _revisions(url) != [newest()]


def newest() -> str:
    """Return the last migration's revision, which its file's name begins with."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    return max(file.name.partition("_")[0] for file in files)


def _revisions(url: str) -> list[str]:
    engine = create_engine(
        store_url(url), poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS}
    )
    with transaction(engine) as connection:
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": _TABLE}) is None:
            return []
        return list(connection.scalars(text(f"SELECT version_num FROM {_TABLE}")))  # noqa: S608
