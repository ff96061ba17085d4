"""Ask several nodes at the same time. Reads chain."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import Node

_T = TypeVar("_T")

_GRACE = 1.0  # seconds that the other nodes get once there is enough


def fan_out(
    nodes: Sequence[Node],
    ask: Callable[[Node], _T],
    *,
    enough: Callable[[_T], bool] = lambda _: False,
) -> list[tuple[Node, _T | NodeFault]]:
    """Ask all nodes at the same time; return their answers in the order of the nodes.

    enough: after one such answer the other nodes get one more second; their requests go on
        beyond it.
    """
    came: SimpleQueue[tuple[Node, _T | NodeFault] | BaseException] = SimpleQueue()

    def one(node: Node) -> None:
        try:
            came.put((node, ask(node)))
        except NodeFault as e:
            came.put((node, e))
        except BaseException as e:  # handed over to the thread that waits
            came.put(e)

    if len(nodes) == 1:
        one(nodes[0])
    else:
        for node in nodes:
            # A daemon, so that a node that hangs keeps no process from ending.
            threading.Thread(target=one, args=(node,), daemon=True).start()
    found: dict[Node, _T | NodeFault] = {}
    patience = None
    while len(found) < len(nodes):
        try:
            answered = came.get(timeout=patience)
        except Empty:
            break
        if isinstance(answered, BaseException):
            raise answered
        node, answer = answered
        found[node] = answer
        if not isinstance(answer, NodeFault) and enough(answer):
            patience = _GRACE
    return [(node, found[node]) for node in nodes if node in found]
