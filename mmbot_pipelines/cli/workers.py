"""mmbot workers: the warm workers that execute runs, with the broker where it is embedded."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from secrets import token_hex

import fasteners  # type: ignore[import-untyped]

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.broker import embedded
from mmbot_pipelines.adapters.processes import tied_to_parent
from mmbot_pipelines.cli.screen import console
from mmbot_pipelines.core.errors import InvalidSettings

_LOOK_EVERY_SECONDS = 0.5
_SOON_SECONDS = 5.0  # what ends sooner than that is not started again at once
_STOP_SECONDS = 60.0  # for runs that are at work
_WORKER = "mmbot_pipelines.worker"


def workers() -> None:
    """Execute runs until Ctrl-C or SIGTERM; runs that are at work then finish."""
    broker = settings.load_broker()
    if broker.url is None:
        raise InvalidSettings(
            "MMBOT_BROKER_URL is not set: set it to embedded, or to the URL of a Valkey or Redis"
        )
    worker = _worker_command(broker.processes or os.cpu_count() or 1)
    if not broker.is_embedded:
        os.execv(worker[0], worker)  # noqa: S606
    server = embedded.command(broker.folder)
    console().print(f"workers of {broker.description}", soft_wrap=True)
    lock = fasteners.InterProcessLock(broker.folder / ".lock")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    kept = [_Kept(server), _Kept(worker)]
    try:
        while True:
            # Of several `mmbot workers` one looks after the broker, until it ends.
            if kept[0].is_at_work() or (
                lock.acquire(blocking=False) and not embedded.is_running(broker.folder)
            ):
                kept[0].keep()
            kept[1].keep()
            if stopped.wait(_LOOK_EVERY_SECONDS):
                return
    finally:
        for one in reversed(kept):
            one.stop()


def _worker_command(processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-A", _WORKER, "worker"),
        *("--pool", "prefork", "--concurrency", str(processes)),
        *("--hostname", f"mmbot-{token_hex(4)}@%h", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


class _Kept:
    """A process that is started again when it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")

    def is_at_work(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def keep(self) -> None:
        """Start the process, unless it runs or was started a moment ago."""
        if self.is_at_work() or time.monotonic() - self._started < _SOON_SECONDS:
            return
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            tied_to_parent(self._command),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is for us to handle
        )

    def stop(self) -> None:
        """Ask the process to end, and wait until it has."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
