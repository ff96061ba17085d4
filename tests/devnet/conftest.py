"""Local chains with the bridge on them; every test starts from the same state."""

from collections.abc import Iterator

import pytest

from tests.devnet.bridge import Devnet, rolled_back, running


@pytest.fixture(scope="module")
def fresh_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh_devnet: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh_devnet) as devnet:
        yield devnet
