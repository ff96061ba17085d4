"""The local Starknet as a process of its own that ends with this one."""

import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from eth_typing import ChecksumAddress

from mmbot_pipelines.devnet.anvil import tied_to_parent
from mmbot_pipelines.devnet.deploy import L1
from mmbot_pipelines.devnet.starknet_deploy import node_command

_STOP_SECONDS = 5


class StarknetProcess:
    """Run the node on a port of 127.0.0.1 that it chooses itself, as a context manager."""

    def __init__(self, l1: L1, messaging: ChecksumAddress, *, block_time: float, log: Path) -> None:
        """Describe the node. block_time: seconds between two blocks."""
        self.url = ""
        self._command = node_command(l1, messaging, block_time=block_time)
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                tied_to_parent(self._command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # the terminal's Ctrl-C is for us to handle
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the local Starknet ended before it listened: see {self._log}")
        # Read to its end, or the node would block once the pipe is full.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
