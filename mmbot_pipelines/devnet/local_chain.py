"""One local chain: a process that ends with its parent and reports where it listens."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from mmbot_pipelines.adapters.processes import tied_to_parent

_LISTENING = b"Listening on "


class ChainError(RuntimeError):
    """A chain's program is absent or would not start."""


class LocalChain(ABC):
    """Run a chain on a port of 127.0.0.1 that it chooses itself, as a context manager.

    Linux kills the process when the *thread* that started it ends, so start it
    from one that lives as long as the chain is needed.
    """

    def __init__(self, name: str, *, port: int = 0, log: Path | None = None) -> None:
        """Describe the chain; `start` runs it.

        name: of the chain, for errors.
        port: 0 lets the system choose; another one is for starting again in place.
        log: file for the program's own words, appended; absent, they are dropped.
        """
        self.name = name
        self.port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: threading.Thread | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command; what it runs prints "Listening on HOST:PORT"."""

    @property
    def url(self) -> str:
        """Return the JSON-RPC address, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the process id, for tests that stop or kill the chain.

        Raises:
            ChainError: the chain is not running.
        """
        if self._process is None:
            raise ChainError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and return once it listens.

        Raises:
            ChainError: no binary, or it ended before it listened.
        """
        if self._process is not None:
            raise ChainError(f"{self.name} runs already")
        self._process = subprocess.Popen(
            tied_to_parent(self.command()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for us to handle
        )
        assert self._process.stdout is not None
        try:
            self.port = _listening_port(self._process.stdout, self.name)
        except BaseException:
            self.stop()
            raise
        # The pipe must be read to its end, or the program blocks once it is full.
        self._drain = threading.Thread(
            target=_copy, args=(self._process.stdout, self._log), daemon=True
        )
        self._drain.start()
        return self

    def stop(self) -> None:
        """Stop the process and wait for its end; harmless when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)  # a stopped process hears no SIGTERM
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._drain is not None:
            self._drain.join()
            self._drain = None
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _listening_port(output: BinaryIO | Iterator[bytes], name: str) -> int:
    last = b""
    # The lines before it show the development keys: they are not kept.
    for line in output:
        if line.startswith(_LISTENING):
            return int(line.rsplit(b":", 1)[1])
        last = line.strip() or last
    raise ChainError(f"{name} ended before it listened: {last.decode(errors='replace')}")


def _copy(output: BinaryIO, log: Path | None) -> None:
    with open(log or os.devnull, "ab") as sink:
        shutil.copyfileobj(output, sink)
