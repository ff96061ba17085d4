"""Two chains for the tests of whole scenes or of one adapter, lent to one after the other."""

from collections.abc import Iterator

import pytest

from tests.chain.chain_harness import ChainHarness, played
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import AnvilPorts, on_anvil


@pytest.fixture(scope="package")
def harness_chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def chain_harness(harness_chains: Devnet, database_url: str) -> Iterator[ChainHarness]:
    with played(harness_chains, database_url) as chain_harness:
        yield chain_harness


@pytest.fixture(scope="module")
def fresh() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def ports(fresh: Devnet) -> Iterator[AnvilPorts]:
    with on_anvil(fresh) as ports:
        yield ports
