"""A clock that tests move, and the ways in which a fake node fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmbot_pipelines.adapters.rpc.node import Node
from tests.adapters.rpc.fake_node import FakeNode

RPC_CALL = ("echo", (1,))


class Clock:
    """A clock that only a test advances, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def waited_for_briefly(*members: Node) -> Iterator[None]:
    """Let nodes that hang time out soon; the others may be slow, as on a busy machine."""
    ordinary = {member: member._timeouts for member in members}
    for member in members:
        member._timeouts = (0.3, 0.3)
    try:
        yield
    finally:
        for member, timeouts in ordinary.items():
            member._timeouts = timeouts


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
