"""A real Valkey for tests that need a broker."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mmbot_pipelines.adapters.broker import embedded
from mmbot_pipelines.adapters.processes import tied_to_parent


class Broker:
    """An embedded broker that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = SecretStr(embedded.embedded_url(folder))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(tied_to_parent(embedded.command(self.folder)))
        end = time.monotonic() + 120
        while not embedded.is_running(self.folder):
            assert time.monotonic() < end
            assert self._process.poll() is None
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Return a broker that is up."""
    found = Broker(tmp_path / "broker")
    found.start()
    yield found
    found.kill()
