"""Postgres for tests: one server a session, one migrated database a test.

MMBOT_TEST_DATABASE_URL names a server to use instead; its user must be allowed to create
databases.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.bridge.ports.orders import Orders
from tests.ports.orders_memory import OrdersMemory

_numbers = count(1)
_FOLDERS = "mmbot-postgres-"  # followed by the pid of the session


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the URL of a running server."""
    given = os.environ.get("MMBOT_TEST_DATABASE_URL")
    if given:
        yield given
        return
    _stop_orphans()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDERS}{os.getpid()}-"))
    try:
        url = embedded.embedded_url(folder / "data")
        with _admin(url).connect() as connection:
            # the files need not survive a power cut
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield url
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """Return the name of a migrated database to clone."""
    with database(postgres_url) as url:
        migrate.upgrade(url)
        yield str(make_url(url).database)


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


@pytest.fixture(params=["memory", "postgres"])
def orders(request: pytest.FixtureRequest) -> Iterator[Orders]:
    """Return an empty store: each test that asks for it runs on both of them."""
    if request.param == "memory":
        yield OrdersMemory()
        return
    engine = connect(request.getfixturevalue("database_url"))
    yield PgOrders(engine)
    engine.dispose()
