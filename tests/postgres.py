"""Postgres for tests: one server a process, migrated once.

Most tests share one database that is emptied before each; what needs its own gets a clone.

MMBOT_TEST_DATABASE_URL names a server to use instead; its user must be allowed to create
databases. MMBOT_TEST_TEMPLATE names a migrated database on it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, NullPool, Table, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.tables import metadata
from mmbot_pipelines.adapters.db.tables.monitoring import tallies
from mmbot_pipelines.adapters.db.urls import store_url

_numbers = count(1)
_FOLDERS = "mmbot-postgres-"  # followed by the pid of the session
_opened = ExitStack()  # until the session ends


def pytest_unconfigure() -> None:
    _opened.close()
    for opened in (server, template, _shared_engine):  # for a second session of this process
        opened.cache_clear()


@cache
def server() -> str:
    """Return the URL of this process's server, which runs until the session ends."""
    given = os.environ.get("MMBOT_TEST_DATABASE_URL")
    if given:
        return given
    _stop_orphans()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDERS}{os.getpid()}-"))
    _opened.callback(shutil.rmtree, folder)
    _opened.callback(embedded.stop, folder / "data")
    url = embedded.embedded_url(folder / "data")
    with _admin(url).connect() as connection:
        # the files need not survive a power cut
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    return url


@cache
def template() -> str:
    """Return the name of a migrated database to clone."""
    given = os.environ.get("MMBOT_TEST_TEMPLATE")
    if given:
        return given
    url = _opened.enter_context(database(server()))
    migrate.upgrade(url)
    return str(make_url(url).database)


@cache
def _shared_engine() -> Engine:
    url = _opened.enter_context(database(server(), template=template()))
    engine = connect(url)
    _opened.callback(engine.dispose)
    return engine


def clean_engine(*tables: Table) -> Engine:
    """Return the database that the tests of this process share, with empty tables.

    tables: those to empty; none given: all.
    """
    engine = _shared_engine()
    # The sums last, for triggers write them. To truncate makes files anew, and takes 20 times as
    # long.
    emptied = sorted(tables or reversed(metadata.sorted_tables), key=lambda t: t is tallies)
    with engine.begin() as connection:
        connection.execute(text("; ".join(f"DELETE FROM {table}" for table in emptied)))
    return engine


@contextmanager
def unreachable(engine: Engine) -> Iterator[None]:
    """Let no connection of this engine be had."""

    def refuse(*_: object) -> None:
        raise OperationalError("", {}, Exception("down"))

    event.listen(engine, "checkout", refuse)
    try:
        yield
    finally:
        event.remove(engine, "checkout", refuse)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Return the URL of a running server."""
    return server()


@pytest.fixture(scope="session")
def migrated_template() -> str:
    """Return the name of a migrated database to clone."""
    return template()


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """Return the URL of a fresh, migrated database."""
    with database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """Return the URL of a fresh, empty database."""
    with database(postgres_url) as url:
        yield url


def _stop_orphans() -> None:
    """Stop the servers of sessions that were killed before they could do so themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*-*"):
        session = folder.name.removeprefix(_FOLDERS).split("-")[0]
        if session.isdecimal() and not psutil.pid_exists(int(session)):
            embedded.stop(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: str, template: str = "template0") -> Iterator[str]:
    name = f"mmbot_test_{os.getpid()}_{next(_numbers)}"
    with _admin(server).connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with _admin(server).connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def _admin(url: str) -> Engine:
    return create_engine(store_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)


@pytest.fixture
def store() -> PgBridgeStore:
    """Return an empty store."""
    return PgBridgeStore(clean_engine())
