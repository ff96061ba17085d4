"""Ask several nodes at once without waiting for the one that hangs."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from mmbot_pipelines.adapters.rpc.node import Node, NodeFault

_T = TypeVar("_T")

_GRACE = 1.0  # seconds that the others get once there is enough


def fan_out(
    nodes: Sequence[Node],
    ask: Callable[[Node], _T],
    *,
    enough: Callable[[_T], bool] = lambda _: False,
) -> list[tuple[Node, _T | NodeFault]]:
    """Ask all nodes at the same time; return what came, as it came.

    enough: one such answer, and the nodes that are still silent get a second; they are
        asked to the end all the same.
    """
    if len(nodes) == 1:
        return [(nodes[0], _asked(ask, nodes[0]))]
    came: SimpleQueue[tuple[Node, _T | NodeFault | BaseException]] = SimpleQueue()
    for node in nodes:
        # A daemon, so that a node that hangs keeps no process from ending.
        threading.Thread(target=lambda n=node: came.put((n, _caught(ask, n))), daemon=True).start()
    found: list[tuple[Node, _T | NodeFault]] = []
    timeout = None
    while len(found) < len(nodes):
        try:
            node, answer = came.get(timeout=timeout)
        except Empty:
            break
        if isinstance(answer, BaseException) and not isinstance(answer, NodeFault):
            raise answer
        found.append((node, answer))
        if not isinstance(answer, NodeFault) and enough(answer):
            timeout = _GRACE
    return found


def _asked(ask: Callable[[Node], _T], node: Node) -> _T | NodeFault:
    try:
        return ask(node)
    except NodeFault as e:
        return e


def _caught(ask: Callable[[Node], _T], node: Node) -> _T | BaseException:
    try:
        return ask(node)
    except BaseException as e:  # handed over to the thread that waits
        return e
