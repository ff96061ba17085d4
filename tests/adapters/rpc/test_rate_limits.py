"""A node that limits our rate is left alone for as long as it asks (HTTP 429, Retry-After)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.rpc.fake_node import FakeNode, rpc
from tests.adapters.rpc.faulty_nodes import RPC_CALL, Clock, heal, limit

pytestmark = pytest.mark.usefixtures("echoing")


def limited(node: FakeNode, client: Rpc, retry_after: str) -> int:
    """Let a node limit us once, and then serve again; return the requests that it has seen."""
    limit(node)
    node.headers = {"Retry-After": retry_after}
    with pytest.raises(RpcUnavailable, match="answered HTTP 429"):
        client.call(*RPC_CALL)
    heal(node)
    return len(node.requests)


def test_a_node_alone_is_not_asked_before_its_time(node: FakeNode, clock: Clock) -> None:
    client = rpc(node, clock=clock)
    seen = limited(node, client, "20")
    clock.now += 19
    with pytest.raises(RpcUnavailable, match="limits our rate for 1 s"):
        client.call(*RPC_CALL)
    client.poll_health(include_open=True)
    assert len(node.requests) == seen
    clock.now += 1
    assert client.call(*RPC_CALL) == 1


def test_a_date_counts_too(node: FakeNode, clock: Clock) -> None:
    client = rpc(node, clock=clock)
    until = datetime.now(UTC) + timedelta(hours=1)
    limited(node, client, format_datetime(until, usegmt=True))
    clock.now += 29  # an hour is more than what a node is obeyed
    with pytest.raises(RpcUnavailable, match="limits our rate for 1 s"):
        client.call(*RPC_CALL)
    clock.now += 1
    assert client.call(*RPC_CALL) == 1


@pytest.mark.parametrize("retry_after", ["", "0", "-5", "soon", "1e9", "9" * 400, "²", "Thu, 99"])
def test_what_is_no_time_pauses_nothing(node: FakeNode, clock: Clock, retry_after: str) -> None:
    client = rpc(node, clock=clock)
    limited(node, client, retry_after)
    assert client.call(*RPC_CALL) == 1


def test_the_others_serve_for_as_long_as_it_asks(
    node: FakeNode, spare: FakeNode, client: Rpc, clock: Clock
) -> None:
    client.batch([RPC_CALL])
    limit(node)
    node.headers = {"Retry-After": "120"}
    assert client.batch([RPC_CALL]) == [1]
    heal(node)
    seen = len(node.requests)
    for _ in range(11):
        clock.now += 10
        client.poll_health()
        assert client.batch([RPC_CALL]) == [1]
    assert len(node.requests) == seen
    clock.now += 10
    client.poll_health()
    assert len(node.requests) > seen
    assert client.health()[0].is_serving
    assert spare.asked == ["echo"] * 12


def test_what_it_takes_after_all_ends_the_pause(node: FakeNode, clock: Clock) -> None:
    """Another thread's request may have been on its way."""
    client = rpc(node, clock=clock)
    limited(node, client, "20")
    client.members[0].health.record_success()
    assert client.call(*RPC_CALL) == 1
