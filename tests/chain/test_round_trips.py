"""How many round trips to nodes follow each other in a run."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core import concurrency
from tests.chain.anvil_bridge import AnvilBridge
from tests.ports.port_harness import AnvilPorts
from tests.postgres import clean_engine


class RoundTrips:
    """Count requests: those of questions asked together as the longest of these alone."""

    def __init__(self) -> None:
        self.count = 0

    def questions(self) -> "Questions":
        return Questions(self)


class Questions:
    """A pool that asks one question after the other, and counts as if all went at once."""

    def __init__(self, trips: RoundTrips) -> None:
        self._trips = trips
        self._each: list[int] = []

    def __enter__(self) -> "Questions":
        self._begun = self._trips.count
        return self

    def __exit__(self, *_: object) -> None:
        self._trips.count = self._begun + max(self._each, default=0)

    def submit(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        before, answer = self._trips.count, Future[Any]()
        try:
            answer.set_result(ask(*args, **kwargs))
        except Exception as e:
            answer.set_exception(e)
        self._each.append(self._trips.count - before)
        return answer


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> RoundTrips:
    counted, ask = RoundTrips(), Node.ask

    def counting(node: Node, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        if rpc_calls[0][0] != "eth_chainId":  # asked once in the life of a process
            counted.count += 1  # a batch is one request
        return ask(node, rpc_calls)

    monkeypatch.setattr(Node, "ask", counting)
    monkeypatch.setattr(concurrency, "questions", counted.questions)
    return counted


def test_a_transfer_and_a_claim_take_few_round_trips_one_after_the_other(
    ports: AnvilPorts, trips: RoundTrips
) -> None:
    bridge = AnvilBridge(ports, clean_engine())
    (key,) = bridge.find()
    trips.count = 0
    bridge.transfer([key])
    assert bridge.order(key).status is Status.TRANSFERRING
    transfer = trips.count
    bridge.mine()
    trips.count = 0
    bridge.repay([key])
    assert bridge.order(key).status is Status.PROVING
    assert (transfer, trips.count) == (6, 5)
