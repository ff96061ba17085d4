"""Which node is asked, when the first is not the best any more."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mmbot_pipelines.adapters.rpc.client import Rpc, RpcError
from mmbot_pipelines.core.errors import RpcUnavailable, WrongChain
from tests.adapters.rpc.fake_node import FakeNode, Refusal, fake_node, rpc
from tests.adapters.rpc.faulty_nodes import (
    FAULTS,
    RPC_CALL,
    Clock,
    fail,
    hang,
    heal,
    waited_for_briefly,
)
from tests.polling import until

pytestmark = pytest.mark.usefixtures("echoing")


def test_primary_is_asked_while_it_is_as_good(node: FakeNode, spare: FakeNode, client: Rpc) -> None:
    for _ in range(10):
        client.batch([RPC_CALL])
    assert node.asked == ["echo"] * 10
    assert spare.asked == []


@pytest.mark.parametrize("fault", FAULTS)
def test_spare_serves_in_any_fault_and_the_primary_when_it_is_back(
    node: FakeNode, spare: FakeNode, clock: Clock, fault: Callable[[FakeNode], None]
) -> None:
    client = rpc(node, spare, clock=clock, max_bytes=2**19)
    client.batch([RPC_CALL])
    fault(node)
    with waited_for_briefly(client.members[0]):
        for _ in range(10):
            assert client.batch([RPC_CALL]) == [1]
    assert len(spare.asked) == 10
    heal(node)
    for _ in range(12):  # looks, after each of which it is a little better
        clock.now += 10
        client.poll_health()
    before = len(spare.asked)
    assert client.batch([RPC_CALL]) == [1]
    assert len(spare.asked) == before


def test_hanging_primary_costs_one_timeout_and_not_one_a_question(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    client.batch([RPC_CALL])
    hang(node)
    before = len(node.requests)
    with waited_for_briefly(client.members[0]):
        for _ in range(20):
            assert client.batch([RPC_CALL]) == [1]
    assert len(node.requests) == before + 1
    assert len(spare.asked) == 20


def test_primary_that_hangs_from_the_start_is_not_waited_for(
    node: FakeNode, spare: FakeNode, clock: Clock
) -> None:
    client = rpc(node, spare, clock=clock)
    hang(node)
    assert client.batch([RPC_CALL]) == [1]
    assert node.asked == []  # it was looked at, and hangs still
    assert not node.released.is_set()


def test_a_node_with_an_open_circuit_is_probed_again_by_itself(
    node: FakeNode, client: Rpc, clock: Clock
) -> None:
    client.batch([RPC_CALL])
    hang(node)
    with waited_for_briefly(client.members[0]):
        client.batch([RPC_CALL])
    assert not client.health()[0].is_serving
    heal(node)
    clock.now += 4.9
    client.batch([RPC_CALL])
    assert not client.health()[0].is_serving
    clock.now += 0.1
    client.batch([RPC_CALL])  # and nobody waits for the look
    until(lambda: client.health()[0].is_serving)


def test_a_node_with_an_open_circuit_is_asked_when_no_other_answers(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    client.batch([RPC_CALL])
    hang(node)
    with waited_for_briefly(client.members[0]):
        client.batch([RPC_CALL])
    heal(node)
    fail(spare)
    assert client.batch([RPC_CALL]) == [1]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32000, "header not found"),
        (-32000, "missing trie node"),
        (-32603, "internal error"),
        (-32005, "limit exceeded"),
    ],
)
def test_error_of_the_node_goes_to_the_next_one(
    node: FakeNode, spare: FakeNode, client: Rpc, code: int, message: str
) -> None:
    def refuse(n: int) -> int:
        raise Refusal(code, message)

    node.methods["echo"] = refuse
    assert client.batch([RPC_CALL, RPC_CALL]) == [1, 1]
    assert spare.asked == ["echo"] * 2


def test_batch_is_never_mixed_of_two_nodes(node: FakeNode, spare: FakeNode, client: Rpc) -> None:
    def refuse(n: int) -> Any:
        if n == 2:
            raise Refusal(-32000, "header not found")
        return "of the primary"

    node.methods["echo"] = refuse
    spare.methods["echo"] = lambda n: "of the spare"
    assert client.batch([("echo", (n,)) for n in range(4)]) == ["of the spare"] * 4


def test_error_that_all_nodes_have_is_the_answer(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    def refuse(n: int) -> int:
        raise Refusal(-32000, "missing trie node")

    node.methods["echo"] = spare.methods["echo"] = refuse
    (answer,) = client.batch([RPC_CALL])
    assert isinstance(answer, RpcError)
    assert all(reading.is_serving for reading in client.health())


def test_contract_that_speaks_of_limits_is_asked_of_no_other_node(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    def revert(*_: Any) -> None:
        raise Refusal(3, "execution reverted: rate limit exceeded, header not found")

    node.methods["eth_call"] = revert
    assert isinstance(client.batch([("eth_call", ())])[0], RpcError)
    assert spare.asked == []
    assert all(reading.is_serving for reading in client.health())


def test_wrong_chain_is_quarantined_with_one_line_and_the_others_serve(
    node: FakeNode, spare: FakeNode, client: Rpc, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    node.chain_id = 5
    for _ in range(20):
        assert client.batch([RPC_CALL]) == [1]
        clock.now += 1
    host = node.url.removeprefix("http://")
    assert [r.getMessage() for r in caplog.records] == [
        f"L1: node {host} serves chain 5, but MMBOT_L1_CHAIN_ID is 1; circuit open for 300 s"
    ]
    assert node.asked == []


def test_wrong_chain_beside_a_node_that_is_away_names_both(
    node: FakeNode, spare: FakeNode, client: Rpc
) -> None:
    node.chain_id = 5
    fail(spare)
    with pytest.raises(RpcUnavailable, match=r"serves chain 5.*; .* HTTP 500|HTTP 500; .*chain 5"):
        client.batch([RPC_CALL])
    heal(spare)
    spare.chain_id = 6
    with pytest.raises(WrongChain, match=r"chain 5.*chain 6|chain 6.*chain 5"):
        client.batch([RPC_CALL])


def test_a_node_that_turns_into_another_chain_is_found_by_the_health_poll(
    node: FakeNode, client: Rpc, clock: Clock
) -> None:
    client.batch([RPC_CALL])
    node.chain_id = 5
    clock.now += 10
    client.poll_health()
    before = len(node.asked)
    assert client.batch([RPC_CALL]) == [1]
    assert len(node.asked) == before


def test_node_that_lags_is_passed_over_until_it_has_caught_up(
    node: FakeNode, spare: FakeNode, client: Rpc, clock: Clock
) -> None:
    node.height, spare.height = 94, 100
    node.age = 60  # it admits that there are newer blocks
    client.batch([RPC_CALL])
    assert (node.asked, spare.asked) == ([], ["echo"])
    assert [reading.lag for reading in client.health()] == [6, 0]
    node.height, node.age = 95, 0  # heights are never read at the same instant
    clock.now += 10
    client.poll_health()
    client.batch([RPC_CALL])
    assert node.asked == ["echo"]


def test_poll_takes_nothing_older_than_the_poll_before(
    node: FakeNode, spare: FakeNode, client: Rpc, clock: Clock
) -> None:
    assert client.poll([RPC_CALL])[0].height == 100
    fail(node)
    spare.height = 99
    with pytest.raises(RpcUnavailable, match="is at block 99, but 100 was seen"):
        client.poll([RPC_CALL])
    spare.height = 100
    assert client.poll([RPC_CALL])[0].answers == [1]
    spare.height = 50
    clock.now += 60  # the chain was set back for good
    assert client.poll([RPC_CALL])[0].height == 50


def test_health_shows_hosts_and_no_secrets(node: FakeNode, clock: Clock) -> None:
    url = node.url.replace("http://", "http://user:hunter2@") + "/v3/apikey"
    client = Rpc([url, "http://127.0.0.1:1/apikey2"], chain="L1", chain_id=1, clock=clock)
    client.batch([RPC_CALL])
    client.poll_health()
    first, second = client.health()
    assert (first.host, first.primary, first.is_serving) == (node.url[7:], True, True)
    assert (second.host, second.primary, second.fault) == ("127.0.0.1:1", False, "unreachable")
    assert "hunter2" not in repr([first, second])
    assert "apikey" not in repr([first, second])


def test_one_node_alone_is_never_surveyed(node: FakeNode) -> None:
    client = rpc(node)
    for _ in range(3):
        client.poll([RPC_CALL])
    assert [json.loads(json.dumps(r))["method"] for r in node.requests] == [
        "eth_chainId",
        *["echo"] * 3,
    ]


def test_threads_share_it_while_nodes_come_and_go(node: FakeNode, clock: Clock) -> None:
    with fake_node(echo=lambda n: n) as second:
        client = rpc(node, second, clock=clock)
        wrong: list[object] = []

        def ask() -> None:
            for n in range(50):
                if client.batch([("echo", (n,))]) != [n]:
                    wrong.append(n)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            fail(node)
            clock.now += 11
            client.poll_health()
            heal(node)
            clock.now += 11
            client.poll_health()
        for thread in threads:
            thread.join()
        assert wrong == []
