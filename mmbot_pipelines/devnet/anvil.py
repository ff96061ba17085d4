"""One local EVM chain: an anvil process that ends with its parent."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import requests

PACKAGE_ROOT = Path(__file__).parents[2]
LISTENING = b"Listening on "
TIE = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() == int(sys.argv[1]):  # else it died before we asked
    os.execv(sys.argv[2], sys.argv[2:])
"""


class AnvilError(RuntimeError):
    """Anvil is absent or would not start."""


class Anvil:
    """Run anvil on a port of 127.0.0.1 that it chooses itself, as a context manager.

    Linux kills the process when the *thread* that started it ends, so start it
    from one that lives as long as the chain is needed.
    """

    def __init__(
        self,
        *,
        chain_id: int,
        block_time: float | None = None,
        mining: bool = True,
        port: int = 0,
        slots_in_an_epoch: int = 32,
        log: Path | None = None,
        extra_args: Sequence[str] = (),
    ) -> None:
        """Describe the chain; `start` runs it.

        block_time: seconds between blocks; absent, every transaction makes a block.
        mining: False makes blocks only on evm_mine.
        port: 0 lets the system choose; another one is for starting again in place.
        slots_in_an_epoch: safe is this many blocks behind the head, finalized twice as many.
        log: file for anvil's own words, appended; absent, they are dropped.
        """
        self.chain_id = chain_id
        self.port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: threading.Thread | None = None
        self._args = [
            *("--chain-id", str(chain_id)),
            *("--slots-in-an-epoch", str(slots_in_an_epoch)),
            *(() if block_time is None else ("--block-time", str(block_time))),
            *(() if mining else ("--no-mining",)),
            *extra_args,
        ]

    @property
    def url(self) -> str:
        """Return the JSON-RPC address, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Return the JSON-RPC address, for WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the process id, for tests that stop or kill the chain.

        Raises:
            AnvilError: the chain is not running.
        """
        if self._process is None:
            raise AnvilError(f"anvil of chain {self.chain_id} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and return once it listens.

        Raises:
            AnvilError: no binary, or anvil ended before it listened.
        """
        if self._process is not None:
            raise AnvilError(f"anvil of chain {self.chain_id} runs already")
        self._process = subprocess.Popen(
            tied_to_parent([str(find_anvil()), "--port", str(self.port), *self._args]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for us to handle
        )
        assert self._process.stdout is not None
        try:
            self.port = _listening_port(self._process.stdout, self.chain_id)
        except BaseException:
            self.stop()
            raise
        # The pipe must be read to its end, or anvil blocks once it is full.
        self._drain = threading.Thread(
            target=_copy, args=(self._process.stdout, self._log), daemon=True
        )
        self._drain.start()
        self._silence()
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

    def _silence(self) -> None:
        """Switch off the line per RPC call: nobody reads it and it fills the disk."""
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "anvil_setLoggingEnabled",
            "params": [False],
        }
        requests.post(self.url, json=call, timeout=10).raise_for_status()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def find_anvil(roots: Sequence[Path] | None = None) -> Path:
    """Return the anvil binary of node_modules, else the one on PATH.

    The platform's own binary comes before npm's wrapper script, whose child
    would outlive it.

    Raises:
        AnvilError: there is none.
    """
    for root in (PACKAGE_ROOT, Path.cwd()) if roots is None else roots:
        modules = root / "node_modules"
        for found in (
            *modules.glob("@foundry-rs/anvil-*/bin/anvil*"),
            modules / ".bin" / "anvil",
        ):
            if os.access(found, os.X_OK):
                return found
    on_path = shutil.which("anvil")
    if on_path is None:
        raise AnvilError("anvil, the local chain, is not installed: run `make setup`")
    return Path(on_path)


def tied_to_parent(command: Sequence[str]) -> list[str]:
    """Return the command as one that the kernel ends with this process, where it can.

    An exec keeps the wish (prctl(2), PR_SET_PDEATHSIG), so a short Python makes it
    first: Popen's preexec_fn may deadlock in a process of several threads.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", TIE, str(os.getpid()), *command]


def _listening_port(output: BinaryIO | Iterator[bytes], chain_id: int) -> int:
    last = b""
    # The lines before it show the development keys: they are not kept.
    for line in output:
        if line.startswith(LISTENING):
            return int(line.rsplit(b":", 1)[1])
        last = line.strip() or last
    text = last.decode(errors="replace")
    raise AnvilError(f"anvil of chain {chain_id} ended before it listened: {text}")


def _copy(output: BinaryIO, log: Path | None) -> None:
    with open(log or os.devnull, "ab") as sink:
        shutil.copyfileobj(output, sink)
