"""Fake nodes for the tests of errors, each on a port of its own, and their clients."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from tests.adapters.evm.wallet_answers import header
from tests.adapters.rpc.chain_node import ChainNode
from tests.adapters.rpc.fake_node import FakeNode, fake_node, rpc
from tests.adapters.rpc.faulty_nodes import Clock


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served


@pytest.fixture
def spare() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def echoing(node: FakeNode, spare: FakeNode) -> None:
    """Make both nodes answer the faulty nodes' question."""
    node.methods["echo"] = lambda n: n
    spare.methods["echo"] = lambda n: n


@pytest.fixture
def client(node: FakeNode, spare: FakeNode, clock: Clock) -> Rpc:
    return rpc(node, spare, clock=clock)


@pytest.fixture
def chain(node: FakeNode) -> EthereumChain:
    node.methods |= {
        "eth_getBlockByNumber": header(),
        "eth_getBalance": lambda *_: hex(10**18),
        "eth_maxPriorityFeePerGas": lambda: "0x5",
    }
    return EthereumChain(rpc(node), LocalSigner("4c" * 32))


@pytest.fixture
def first(node: FakeNode) -> ChainNode:
    return ChainNode(node)


@pytest.fixture
def second(spare: FakeNode) -> ChainNode:
    return ChainNode(spare)


@pytest.fixture
def third() -> Iterator[ChainNode]:
    with fake_node() as node:
        yield ChainNode(node)


@pytest.fixture
def both(first: ChainNode, second: ChainNode) -> Rpc:
    return rpc(first.node, second.node, quorum=2, clock=Clock())
