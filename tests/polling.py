"""Waiting for what happens in its own time."""

import socket
import time
from collections.abc import Callable
from typing import Any


def until(
    condition: Callable[[], Any],
    each: Callable[[], object] = lambda: None,
    *,
    seconds: float = 300,
) -> None:
    """Wait for what another thread, process or node does; do `each` between two looks.

    seconds: for a machine however busy: where what is awaited comes, they cost nothing.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        each()
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    """Return whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
