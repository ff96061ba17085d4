"""Whether a session of the database is ours alone, as timeouts, schema and locks need it.

pgbouncer in transaction mode hands one backend to several clients, so a timeout or search_path
that one of them sets holds for another's money; and most of its versions drop or refuse the
startup parameter `options`, in which both our engine and Dagster's storage give theirs: Dagster's
tables would be looked for in another schema.
"""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.urls import DAGSTER_SCHEMA, dagster_url
from mmbot_pipelines.core.errors import InvalidSettings

_FIX = "name Postgres itself in MMBOT_DATABASE_URL (max_connections = 300)"
_TRIES = 3  # another client may take the backend in between
_MARK, _SET = "mmbot.session", "own"
_SESSION = text(f"SELECT current_setting('{_MARK}', true), current_setting('search_path')")
_BACKEND = text("SELECT pg_backend_pid()")


def require_own_sessions(url: str) -> None:
    """Check that what a session is opened with holds, and that no other client shares it.

    A database that cannot be reached passes: its first use finds out, and tries again.

    Raises:
        InvalidSettings: a connection pooler stands in between that does not keep sessions apart.
    """
    as_dagster = make_url(dagster_url(url))
    options = f"{as_dagster.query['options']} -c {_MARK}={_SET}"
    marked = as_dagster.update_query_dict({"options": options})
    engine = connect(marked.render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            shown = tuple(connection.execute(_SESSION).one())
        if shown != (_SET, DAGSTER_SCHEMA):
            raise InvalidSettings(
                "MMBOT_DATABASE_URL leads to a pooler that drops the startup parameter `options`, "
                f"in which we give timeouts and schema: {_FIX}"
            )
        if shares_backends(engine):
            raise InvalidSettings(
                "MMBOT_DATABASE_URL leads to pgbouncer in transaction mode, where our sessions "
                f"share timeouts with others': {_FIX}"
            )
    except DBAPIError as e:
        if "startup parameter" in str(e.orig):
            raise InvalidSettings(
                "MMBOT_DATABASE_URL leads to a pooler that refuses the startup parameter "
                f"`options`, in which we give timeouts and schema: {_FIX}"
            ) from None
    finally:
        engine.dispose()


def shares_backends(engine: Engine) -> bool:
    """Return whether a second connection gets the backend of one that is still open.

    Raises:
        DBAPIError: the database cannot be reached.
    """
    for _ in range(_TRIES):
        with engine.connect() as first, engine.connect() as second:
            if _backend(first) == _backend(second):
                return True
    return False


def _backend(connection: Connection) -> int:
    """Return the process id of the backend, and end the transaction that held it."""
    pid = connection.scalar(_BACKEND)
    connection.commit()
    return int(pid or 0)
