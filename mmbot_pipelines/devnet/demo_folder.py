"""A demo's folder: one demo at a time is at work in it, and other commands find it."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import fasteners  # type: ignore[import-untyped]

from mmbot_pipelines.core.errors import InvalidSettings

_NAME = ".env"


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Keep the folder for this demo, which removes what another left there.

    The kernel gives the lock back when we are killed.

    Raises:
        InvalidSettings: another demo is at work in it.
    """
    home = home.resolve()
    home.parent.mkdir(parents=True, exist_ok=True)
    lock = fasteners.InterProcessLock(home.parent / f".{home.name}.lock")
    if not lock.acquire(blocking=False):
        raise InvalidSettings(
            f"a demo is at work in {home}: stop it first, or give this one another --home"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def settings_in(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Write down the demo's settings while it is up, and yield the words that take them up.

    Its private key is anvil's own, which everybody knows.
    """
    path = home / _NAME
    ours = {k: v for k, v in environ.items() if k.startswith("MMBOT_") or k == "DAGSTER_HOME"}
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in ours.items()))
    try:
        yield f"set -a; . {path}; set +a"
    finally:
        path.unlink(missing_ok=True)
