"""A clock that tests move, and the ways in which a fake node fails."""

from typing import Any

from mmbot_pipelines.adapters.rpc.client import Rpc
from tests.adapters.rpc import fake_node
from tests.adapters.rpc.fake_node import FakeNode

RPC_CALL = ("echo", (1,))


class Clock:
    """A clock that only a test advances, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rpc(*nodes: FakeNode | str, **options: Any) -> Rpc:
    """Return a client that waits for no node for long."""
    return fake_node.rpc(*nodes, **{"connect_seconds": 0.5, "read_seconds": 0.5} | options)


def hang(node: FakeNode) -> None:
    node.silent = True


def drop(node: FakeNode) -> None:
    node.silent = True
    node.released.set()


def fail(node: FakeNode) -> None:
    node.status = 500


def limit(node: FakeNode) -> None:
    node.status = 429


def garble(node: FakeNode) -> None:
    node.body = b"<html>no backend</html>"


def bloat(node: FakeNode) -> None:
    node.body = b"[" + b" " * 2**20


FAULTS = [hang, drop, fail, limit, garble, bloat]


def heal(node: FakeNode) -> None:
    node.silent, node.status, node.body = False, 200, None
