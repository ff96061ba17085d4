"""Connections to the database, and what it means when there is none."""

import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Row, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.core.errors import StoreUnavailable

_CONNECT_SECONDS = 5
_SESSION = (
    "-c statement_timeout=30s"
    " -c idle_in_transaction_session_timeout=60s"  # a stopped process gives its lane back
    " -c timezone=UTC"
)
# psycopg does not call these operational (SQLSTATE, Postgres appendix A): the server became
# read-only, the transaction idled or lasted too long
_OUTAGES = ("25006", "25P03", "25P04")


def connect(url: str) -> Engine:
    """Make a small pool of connections; the first query opens the first one."""
    parsed = make_url(store_url(url))
    given = parsed.query.get("options", ())
    options = [_SESSION, given] if isinstance(given, str) else [_SESSION, *given]
    engine = create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        pool_size=4,
        max_overflow=4,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": " ".join(options),
            "keepalives_idle": 30,
            "tcp_user_timeout": 30_000,
            "prepare_threshold": None,  # a pooler that keeps sessions apart may stand in between
        },
    )
    event.listen(engine, "checkout", replace_if_cut)
    return engine


def replace_if_cut(connection: Any, *_: Any) -> None:
    """Let a pool replace a connection that the server has cut, as a restart does.

    On a connection that nobody uses the server says nothing but farewell: this asks it nothing,
    where a ping would cost as much as a question.
    """
    answers = select.poll()
    if not connection.closed:
        answers.register(connection.fileno(), select.POLLIN)
    if connection.closed or answers.poll(0):
        raise DisconnectionError("the database has closed this connection")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run one database transaction: leaving commits, an exception takes all of it back.

    Raises:
        StoreUnavailable: no connection, or it broke, or the database gave up on the work.
            Should it break during the commit, only reading again shows what was stored.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except PoolTimeout:
        raise StoreUnavailable(f"{_named(engine)}: all our connections are in use") from None
    except DBAPIError as e:
        if not _is_outage(e):
            raise
        cause = (str(e.orig).strip() or type(e.orig).__name__).splitlines()[0]
        raise StoreUnavailable(f"{_named(engine)}: {_without_password(cause, engine)}") from None


Rows = Callable[[Executable], Sequence[Row[Any]]]  # the answer to a question


def rows_within(connection: Connection) -> Rows:
    """Return how questions are asked within one transaction."""
    return lambda query: connection.execute(query).all()


def rows_of_each(engine: Engine) -> Rows:
    """Return how questions are asked in a transaction of their own each."""
    # One statement is a transaction by itself, without two more round trips to open and end one.
    single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def rows(query: Executable) -> Sequence[Row[Any]]:
        with transaction(single) as connection:
            return connection.execute(query).all()

    return rows


def _is_outage(error: DBAPIError) -> bool:
    return (
        isinstance(error, OperationalError | InterfaceError)
        or error.connection_invalidated
        or getattr(error.orig, "sqlstate", None) in _OUTAGES
    )


def _named(engine: Engine) -> str:
    url = engine.url
    host = url.host or url.query.get("host") or "the default socket"
    return f"database {url.database} at {host}"


def _without_password(text: str, engine: Engine) -> str:
    password = engine.url.password or engine.url.query.get("password")
    return text.replace(str(password), "***") if password else text
