"""The two ways one database is addressed: by our own store, and by Dagster's storage."""

import re
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url

DAGSTER_SCHEMA = "dagster"


def store_url(url: str) -> str:
    """Address the database with psycopg 3, our own driver."""
    return _render(_parse(url).set(drivername="postgresql+psycopg"))


def dagster_url(url: str) -> str:
    """Address the schema `dagster` of the same database with psycopg2, Dagster's driver."""
    parsed = _parse(url).set(drivername="postgresql+psycopg2")
    given = parsed.query.get("options", ())
    options = [given] if isinstance(given, str) else list(given)
    options.append(f"-csearch_path={DAGSTER_SCHEMA}")  # the last one given wins
    return _render(parsed.update_query_dict({"options": " ".join(options)}))


def _parse(url: str) -> URL:
    parsed = make_url(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url))
    if parsed.host and "%2f" in parsed.host.lower():
        # libpq's way to name a socket's folder in the host's place; SQLAlchemy keeps the %2F
        socket = {"host": unquote(parsed.host)}
        parsed = URL.create(
            parsed.drivername,
            parsed.username,
            parsed.password,
            port=parsed.port,
            database=parsed.database,
            query=parsed.update_query_dict(socket).query,
        )
    return parsed


def _render(url: URL) -> str:
    text = url.render_as_string(hide_password=False)
    address, mark, query = text.partition("?") if url.query else (text, "", "")
    # SQLAlchemy writes a space as itself, or as a plus sign; libpq understands neither
    return address.replace(" ", "%20") + mark + query.replace("+", "%20")
