"""The embedded Postgres: processes share one server, and only `stop` ends it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db import embedded
from mmbot_pipelines.core.errors import InvalidSettings, StoreUnavailable

START = """
import sys
from pathlib import Path
from mmbot_pipelines.adapters.db.embedded import embedded_url
print(embedded_url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mmbot-"))
    yield made
    for pid_file in made.rglob("postmaster.pid"):
        embedded.stop(pid_file.parent)
    shutil.rmtree(made)


def starter(data: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, str(data)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def server_pid(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def asked(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_several_processes_start_one_server_that_outlives_them(folder: Path) -> None:
    data = folder / "new" / "data"
    starters = [starter(data) for _ in range(3)]
    urls = {process.stdout.readline().strip() for process in starters if process.stdout}
    (url,) = urls
    pid = server_pid(data)

    starters[0].send_signal(signal.SIGKILL)
    for process in starters:
        process.communicate()
    assert server_pid(data) == pid
    asked(url, "CREATE TABLE kept AS SELECT 1")
    assert embedded.embedded_url(data) == url
    assert server_pid(data) == pid
    assert asked(url, "SHOW max_connections") == ("300",)
    assert asked(url, "SHOW listen_addresses") == ("",)

    embedded.stop(data)
    embedded.stop(data)
    assert not (data / "postmaster.pid").exists()
    assert not alive(pid)
    embedded.embedded_url(data)
    assert asked(url, "SELECT * FROM kept") == (1,)


def test_open_connections_do_not_keep_it_from_stopping(folder: Path) -> None:
    url = embedded.embedded_url(folder / "data")
    connection = psycopg.connect(url)
    connection.execute("CREATE TABLE undone ()")
    embedded.stop(folder / "data")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_a_killed_server_is_started_again(folder: Path) -> None:
    data = folder / "data"
    url = embedded.embedded_url(data)
    asked(url, "CREATE TABLE kept AS SELECT 1")
    killed = psutil.Process(server_pid(data))
    workers = killed.children()
    killed.kill()
    psutil.wait_procs([killed, *workers], timeout=120)

    assert embedded.embedded_url(data) == url
    assert asked(url, "SELECT * FROM kept") == (1,)


def test_a_folder_whose_creation_was_killed_can_be_stopped(folder: Path) -> None:
    (folder / "postmaster.pid").write_text("-99999999\n")  # as initdb's own backend writes it
    assert not embedded.is_running(folder)
    embedded.stop(folder)
    assert not (folder / "postmaster.pid").exists()


def test_a_pid_file_of_another_program_is_not_believed(folder: Path) -> None:
    """After a reboot, or in a new container, the dead server's pid is somebody else's."""
    data = folder / "data"
    url = embedded.embedded_url(data)
    lines = (data / "postmaster.pid").read_text().splitlines()
    embedded.stop(data)
    stranger = "\n".join([str(os.getpid()), *lines[1:]])
    (data / "postmaster.pid").write_text(stranger)
    embedded.stop(data)  # and we are still here

    (data / "postmaster.pid").write_text(stranger)
    assert embedded.embedded_url(data) == url
    assert asked(url, "SELECT 1") == (1,)


def test_a_long_path_has_its_socket_elsewhere_and_closed(folder: Path) -> None:
    data = folder / ("long" * 15) / ("path" * 15) / "data"
    url = embedded.embedded_url(data)
    socket_dir = Path(str(make_url(url).query["host"]))
    assert len(str(socket_dir)) < 90
    assert stat.S_IMODE(socket_dir.stat().st_mode) == stat.S_IRWXU
    assert socket_dir.stat().st_uid == data.stat().st_uid
    assert asked(url, "SELECT 1") == (1,)
    embedded.stop(data)
    shutil.rmtree(socket_dir)


def test_private_folders_above_are_not_opened_for_reading(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    url = embedded.embedded_url(private / "data")
    assert asked(url, "SELECT 1") == (1,)
    others_read = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH
    for path in (folder, private, private / "data"):
        assert not path.stat().st_mode & others_read


@pytest.mark.parametrize("name", ["with space", "quote'd", "$(touch x)", "semi;colon"])
def test_a_path_that_a_shell_would_misread_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(InvalidSettings, match=r"special characters.*MMBOT_DATABASE_URL"):
        embedded.embedded_url(folder / name / "data")
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_is_one_line(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(InvalidSettings) as e:
        embedded.embedded_url(folder / "file" / "data")
    assert "\n" not in str(e.value)
    assert str(folder / "file" / "data") in str(e.value)


def test_a_server_that_does_not_start_gives_the_reason(folder: Path) -> None:
    data = folder / "data"
    embedded.embedded_url(data)
    embedded.stop(data)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("max_connections = nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"postgresql.conf. contains errors") as e:
        embedded.embedded_url(data)
    assert "\n" not in str(e.value)


def test_stopping_what_never_was_does_nothing(folder: Path) -> None:
    embedded.stop(folder / "absent")
    assert list(folder.iterdir()) == []


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
