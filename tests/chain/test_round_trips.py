"""How many round trips to nodes follow each other in a run, and how often it holds the lane."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from mmbot_pipelines.adapters.db.outbox import PgLane, PgOutbox
from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.lifecycle import Status
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


# Of a whole slice the escrow is asked 102 questions, which are three requests.
@pytest.mark.parametrize(("count", "transfer", "claim"), [(1, 6, 5), (BATCH_SIZE, 8, 7)])
def test_a_slice_takes_few_round_trips_one_after_the_other_and_holds_the_lane_once(
    ports: AnvilPorts,
    trips: RoundTrips,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    transfer: int,
    claim: int,
) -> None:
    bridge = AnvilBridge(ports, clean_engine())
    keys = bridge.find(count)
    holds, lock = [0], PgOutbox.lock_lane

    def locking(outbox: PgOutbox, *lane: Any) -> PgLane:
        holds[0] += 1
        return lock(outbox, *lane)

    monkeypatch.setattr(PgOutbox, "lock_lane", locking)
    trips.count = 0
    bridge.transfer(keys)
    assert {bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    assert (trips.count, holds) == (transfer, [1])
    bridge.mine()
    trips.count = 0
    bridge.repay(keys)
    assert {bridge.order(key).status for key in keys} == {Status.PROVING}
    assert (trips.count, holds) == (claim, [2])
    bridge.mine()
    assert {bridge.order(key).status for key in keys} == {Status.PROVED}
