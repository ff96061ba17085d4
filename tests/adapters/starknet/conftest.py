"""Fake Starknet nodes, each on a port of its own."""

from collections.abc import Iterator

import pytest

from tests.adapters.starknet.starknet_fakes import StarknetFake, starknet_fake


@pytest.fixture
def node() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake


@pytest.fixture
def spare() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake
