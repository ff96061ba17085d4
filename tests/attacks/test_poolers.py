"""pgbouncer between the bot and Postgres: sessions that are shared, or stripped."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.pooling import require_own_sessions, shares_backends
from mmbot_pipelines.adapters.processes import tied_to_parent
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.safety import State
from mmbot_pipelines.devnet.stack import free_port
from tests.cli.command import caller
from tests.polling import is_listening, until

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="pgbouncer is not installed: `apt-get install pgbouncer`"
)


@contextmanager
def pgbouncer(database_url: str, folder: Path, *lines: str) -> Iterator[str]:
    """Run pgbouncer in transaction mode before a database; yield the URL that leads over it."""
    assert PGBOUNCER is not None
    server = make_url(database_url)
    sockets, port = str(server.query["host"]), free_port(0)
    folder.chmod(0o755)
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n* = host={sockets} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        + "\n".join(lines)
    )
    owner = pwd.getpwuid(Path(sockets).stat().st_uid).pw_name
    as_owner = ["-u", owner] if os.geteuid() == 0 else []
    with subprocess.Popen(
        tied_to_parent([PGBOUNCER, *as_owner, str(ini)]),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: is_listening(port) or process.poll() is not None)
            yield f"postgresql://postgres@127.0.0.1:{port}/{server.database}"
        finally:
            process.terminate()


@needs_pgbouncer
def test_a_pooler_that_refuses_our_sessions_is_refused_at_start(
    database_url: str, tmp_path: Path
) -> None:
    with (
        pgbouncer(database_url, tmp_path) as url,
        pytest.raises(InvalidSettings, match="refuses the startup parameter `options`"),
    ):
        require_own_sessions(url)


@needs_pgbouncer
def test_a_pooler_that_strips_our_sessions_is_refused_by_start_and_doctor(
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pgbouncer(database_url, tmp_path, "ignore_startup_parameters = options") as url:
        with connect(url).connect() as stripped:  # the danger: no timeout holds
            assert stripped.scalar(text("SHOW statement_timeout")) == "0"
        given = make_url(url).render_as_string(hide_password=False)
        with pytest.raises(InvalidSettings, match="drops the startup parameter `options`"):
            require_own_sessions(given)
        logged = caller({"MMBOT_DATABASE_URL": url}, capsys, monkeypatch)("doctor")
        assert "database: MMBOT_DATABASE_URL leads to a pooler that drops" in logged.out
        logged = caller({"MMBOT_DATABASE_URL": url}, capsys, monkeypatch)("orders")
        assert logged.code == 2
        assert "MMBOT_DATABASE_URL leads to a pooler" in logged.err
        # One transaction needs no session: a halt is not refused.
        stop = ("halt", "--by", "Ann", "--reason", "x")
        assert caller({"MMBOT_DATABASE_URL": url}, capsys, monkeypatch)(*stop).code == 0
    (scope_state,) = PgBridgeStore(connect(database_url)).safety.scope_states()
    assert scope_state.state is State.HALTED


@needs_pgbouncer
def test_transaction_mode_is_known_by_shared_backends(database_url: str, tmp_path: Path) -> None:
    """For poolers that keep our options, as newer ones may."""
    with pgbouncer(database_url, tmp_path, "ignore_startup_parameters = options") as url:
        assert shares_backends(connect(url))
    assert not shares_backends(connect(database_url))


def test_postgres_itself_passes(database_url: str, tmp_path: Path) -> None:
    require_own_sessions(database_url)
    options = make_url(database_url).update_query_dict({"options": "-c statement_timeout=9s"})
    require_own_sessions(options.render_as_string(hide_password=False))
    require_own_sessions("postgresql://nobody@127.0.0.1:1/x")  # away: who uses it will find out
