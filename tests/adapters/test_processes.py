"""Processes that end with the one that started them."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.processes import tied_to_parent

REPORT = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


@pytest.fixture
def _in_background() -> Iterator[None]:
    """Ignore Ctrl-C, as what a shell starts in the background does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_in_background")
def test_ctrl_c_ends_it_though_its_parent_ignores_it() -> None:
    command = [sys.executable, "-ISc", REPORT]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert plain.stdout == "False\n"
    tied = subprocess.run(tied_to_parent(command), capture_output=True, text=True, check=True)
    assert tied.stdout == "True\n"
