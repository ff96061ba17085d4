"""How logs are read in ranges, whatever nodes refuse, forget or make up."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.evm.blocks import NodeBehind
from mmbot_pipelines.adapters.evm.log_range import LogFilter, decode_log
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.adapters.rpc.nodes import ReorgDuringRead
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from tests.adapters.evm.log_node import ESCROW, TOPIC, LogNode
from tests.adapters.rpc.any_json import JSON
from tests.adapters.rpc.fake_node import FakeNode, fake_node, word
from tests.adapters.rpc.faulty_nodes import waited_for_briefly

WANTED = LogFilter(address=ESCROW, topics=(TOPIC,))


@pytest.fixture
def chain(node: FakeNode) -> LogNode:
    return LogNode(node)


@pytest.fixture
def scanner(node: FakeNode) -> LogScanner:
    return LogScanner(rpc(node))


def rpc(node: FakeNode) -> Rpc:
    return Rpc([node.url], chain="zksync", chain_id=1)


def numbers(logs: list[Any]) -> list[int]:
    return [log.block.number for log in logs]


def test_range_is_bounded_and_returns_how_far_it_came(chain: LogNode, scanner: LogScanner) -> None:
    logs, covered = scanner.scan(WANTED, 100, 9_000)
    assert numbers(logs) == list(range(100, 2100))
    assert (covered.number, covered.hash) == (2099, chain.hash(2099))


def test_short_range_is_read_to_its_end(chain: LogNode, scanner: LogScanner) -> None:
    logs, covered = scanner.scan(WANTED, 5, 7)
    assert (numbers(logs), covered.number) == ([5, 6, 7], 7)


@pytest.mark.parametrize("most", [1, 3, 700])
def test_refused_range_is_halved_until_it_is_taken(
    node: FakeNode, scanner: LogScanner, most: int
) -> None:
    chain = LogNode(node, most=most)
    logs, covered = scanner.scan(WANTED, 0, 5000)
    assert numbers(logs) == list(range(covered.number + 1))
    assert most // 2 < covered.number + 1 <= most
    assert chain.refused <= 11


def test_range_that_works_is_remembered_and_grows_slowly(
    node: FakeNode, scanner: LogScanner
) -> None:
    chain = LogNode(node, most=600)
    start, refusals = 0, []
    for _ in range(12):
        _, covered = scanner.scan(WANTED, start, 9_999)
        start = covered.number + 1
        refusals.append(chain.refused)
    sizes = [last - first + 1 for first, last in chain.ranges]
    assert refusals[0] == 2  # 2000, 1000
    assert refusals[-1] <= 4
    assert sizes[:2] == [500, 563]
    assert max(sizes) <= 600
    chain.most = 10**9
    for _ in range(20):
        scanner.scan(WANTED, 0, 9_999)
    assert chain.ranges[-1] == (0, 1999)


def test_node_that_refuses_one_block_is_an_error(node: FakeNode, scanner: LogScanner) -> None:
    LogNode(node, most=0)
    with pytest.raises(RpcRefused, match="zksync refuses logs: query exceeds max block range"):
        scanner.scan(WANTED, 0, 100)


@pytest.mark.parametrize("code", [-32700, -32600, -32601])
def test_permanent_error_is_not_asked_again(node: FakeNode, scanner: LogScanner, code: int) -> None:
    chain = LogNode(node, most=0)
    chain.code = code
    with pytest.raises(RpcRefused):
        scanner.scan(WANTED, 0, 100)
    assert chain.refused == 1


def test_answer_that_is_too_large_is_asked_for_in_parts(node: FakeNode) -> None:
    LogNode(node)
    small = Rpc([node.url], chain="zksync", chain_id=1, max_bytes=100_000)
    logs, covered = LogScanner(small).scan(WANTED, 0, 3000)
    assert numbers(logs) == list(range(covered.number + 1))
    assert 100 < covered.number < 300


def test_slow_node_is_asked_for_less_at_the_next_tick(node: FakeNode, chain: LogNode) -> None:
    slow = Rpc([node.url], chain="zksync", chain_id=1)
    scanner = LogScanner(slow)
    scanner.scan(WANTED, 0, 1)
    node.silent = True
    with waited_for_briefly(*slow.members):
        for _ in range(7):
            with pytest.raises(RpcUnavailable):
                scanner.scan(WANTED, 0, 5000)
    node.silent = False
    _, covered = scanner.scan(WANTED, 0, 5000)
    assert covered.number == 99


def test_a_reorg_during_a_read_repeats_it(chain: LogNode, scanner: LogScanner) -> None:
    chain.reorgs = 1
    logs, covered = scanner.scan(WANTED, 0, 10)
    assert chain.fork == 1
    assert covered.hash == chain.hash(10)
    assert {log.block.hash for log in logs} == {chain.hash(n) for n in range(11)}


def test_a_chain_that_keeps_changing_is_an_error(chain: LogNode, scanner: LogScanner) -> None:
    chain.reorgs = 99
    with pytest.raises(ReorgDuringRead):
        scanner.scan(WANTED, 0, 10)


def test_block_that_the_node_does_not_have_is_no_empty_range(
    chain: LogNode, scanner: LogScanner
) -> None:
    chain.head = 50
    with pytest.raises(NodeBehind):
        scanner.scan(WANTED, 40, 60)


@pytest.mark.parametrize(
    "lie",
    [
        {"address": "0x" + "11" * 20},
        {"topics": [word(9)]},
        {"topics": []},
        {"blockNumber": "0x3"},
        {"blockNumber": "0x10"},
        {"blockHash": word(9), "blockNumber": "0xa"},
        {"removed": True},
        {"blockNumber": None},
        {"transactionHash": "0x"},
        {"data": "0x1"},
        {"logIndex": -1},
    ],
)
def test_log_that_was_not_asked_for_is_a_bad_answer(
    chain: LogNode, scanner: LogScanner, lie: dict[str, Any]
) -> None:
    chain.change = lie
    with pytest.raises(InvalidResponse):
        scanner.scan(WANTED, 5, 10)


def test_backwards_covers_every_block_once_newest_first(node: FakeNode) -> None:
    LogNode(node, most=300)
    scanner = LogScanner(rpc(node))
    parts = [numbers(logs) for logs in scanner.backwards(WANTED, 5, 4321)]
    assert all(part == sorted(part) for part in parts)
    assert sorted(n for part in parts for n in part) == list(range(5, 4322))
    assert [part[0] for part in parts] == sorted((part[0] for part in parts), reverse=True)


def test_backwards_of_an_empty_range_asks_nobody(node: FakeNode, scanner: LogScanner) -> None:
    assert list(scanner.backwards(WANTED, 5, 4)) == []
    assert node.requests == []


FIELDS = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_no_json_breaks_the_decoding(changes: Any) -> None:
    good = LogNode(FakeNode()).log(1)
    with suppress(InvalidResponse):
        decode_log(good | changes if isinstance(changes, dict) else changes)


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served


@settings(max_examples=25, deadline=None)
@given(
    most=st.integers(1, 3000),
    first=st.integers(0, 3000),
    blocks=st.integers(1, 3000),
    size=st.integers(1, 2000),
)
def test_going_on_where_a_scan_ended_misses_and_doubles_nothing(
    shared: FakeNode, most: int, first: int, blocks: int, size: int
) -> None:
    LogNode(shared, most=max(most, 20))
    scanner = LogScanner(rpc(shared), max_blocks=max(size, 20))
    last, start, found = first + blocks - 1, first, []
    while start <= last:
        logs, covered = scanner.scan(WANTED, start, last)
        found += numbers(logs)
        start = covered.number + 1
    assert found == list(range(first, last + 1))
