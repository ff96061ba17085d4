"""A poll ends when every node has answered, whichever thread asked it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmbot_pipelines.adapters.rpc.health import NodeHealth, ReportedHead
from mmbot_pipelines.adapters.rpc.health_poll import HealthPoller
from tests.adapters.rpc.faulty_nodes import Clock

_HEAD = ReportedHead(7, 1.0)


class _Node:
    host = "node"
    verified = True

    def __init__(self) -> None:
        self.health = NodeHealth()


@contextmanager
def _being_asked(node: _Node) -> Iterator[tuple[HealthPoller[_Node], list[_Node], threading.Event]]:
    """Yield a poller whose node another thread asks, the nodes asked, and what lets it answer."""
    begun, answer = threading.Event(), threading.Event()
    asked: list[_Node] = []

    def head(node: _Node) -> ReportedHead:
        asked.append(node)
        begun.set()
        answer.wait(120)
        return _HEAD

    poller = HealthPoller([node], head, Clock())
    thread = threading.Thread(target=poller.poll_now)
    thread.start()
    begun.wait(120)
    try:
        yield poller, asked, answer
    finally:
        answer.set()
        thread.join()


def test_a_node_that_another_thread_asks_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    node = _Node()
    with _being_asked(node) as (poller, asked, answer):
        end, here = poller._busy[node], threading.current_thread()
        await_end = end.wait

        def answer_once_awaited() -> bool:
            if threading.current_thread() is here:
                answer.set()
            return await_end()

        monkeypatch.setattr(end, "wait", answer_once_awaited)
        poller.poll_now()
        assert node.health.head == _HEAD
        assert asked == [node]


def test_a_forked_process_asks_for_itself() -> None:
    """What the parent's threads were asking comes to no end in a child."""
    node = _Node()
    with _being_asked(node) as (poller, asked, answer):
        child = os.fork()
        if child == 0:
            signal.alarm(120)
            try:
                answer.set()
                poller.poll_now()
            finally:
                os._exit(len(asked))
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
