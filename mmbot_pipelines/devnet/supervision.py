"""Processes that are kept alive, as systemd does it on a server, and that end with us."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmbot_pipelines.adapters.processes import tied_to_parent
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT

_STOP_SECONDS = 10.0  # the daemon waits for ticks of 5 s
_POLL_EVERY_SECONDS = 0.5
_SOON_SECONDS = 5.0  # a process that lives shorter is not started again at once


class Service:
    """One process of the product, with its log."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.command = list(command)
        self.environ: dict[str, str] = {}  # of the last start
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int:
        """Return the process id of the last start."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def due(self) -> bool:
        """Return whether the process ended by itself long enough ago to be restarted."""
        ended = self._process is not None and not self.running
        return ended and time.monotonic() - self._started > _SOON_SECONDS

    def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Start the process; without `environ` with the one of its last start."""
        if environ is not None:
            self.environ = dict(environ)
        self.sweep()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tied_to_parent(self.command),
                env=self.environ,
                cwd=PACKAGE_ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for us to handle
            )
        self._started = time.monotonic()

    def kill(self) -> None:
        """End the process alone, at once, as the kernel does when memory is short."""
        assert self._process is not None
        self._process.kill()

    def ask_to_stop(self) -> None:
        """Ask the process to end, as Ctrl-C does."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGINT)

    def await_end(self, until: float) -> None:
        """Wait for the end until that monotonic time, then force it, and all it started."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.sweep()
        self._process = None

    def sweep(self) -> None:
        """End what the last process started and left behind."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return


class Supervisor:
    """Restart services that end by themselves."""

    def __init__(self, log_start: Callable[[str], None], keep: Callable[[], None]) -> None:
        """log_start: called at each restart. keep: called at each check, to keep more alive."""
        self._services: dict[str, Service] = {}
        self._log_start = log_start
        self._keep = keep
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="supervisor")

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    @property
    def services(self) -> list[Service]:
        """List the services in the order of their first start."""
        return list(self._services.values())

    def start(self, service: Service, environ: Mapping[str, str]) -> Service:
        """Start a service and keep it alive from now on."""
        with self._lock:
            self._services[service.name] = service
            service.start(environ)
        return service

    def restart(self, name: str, environ: Mapping[str, str]) -> None:
        """Stop a service and start it with another environment."""
        with self._lock:
            service = self._services[name]
            service.ask_to_stop()
            service.await_end(time.monotonic() + _STOP_SECONDS)
            service.start(environ)

    def watch(self) -> None:
        """Begin to look after the services.

        Linux ends a tied process with the thread that started it, so this one lives
        until `stop`.
        """
        self._thread.start()

    def stop(self) -> None:
        """Stop all services, together."""
        self._stopping.set()
        with self._lock:
            for service in self.services:
                service.ask_to_stop()
            until = time.monotonic() + _STOP_SECONDS
            for service in self.services:
                service.await_end(until)
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_EVERY_SECONDS):
            with self._lock:
                if self._stopping.is_set():
                    return
                try:
                    self._keep()
                except Failure as e:
                    self._log_start(f"it once more: {e}")
                for service in self.services:
                    if service.due:
                        self._log_start(f"{service.name} again, which ended")
                        service.start()
