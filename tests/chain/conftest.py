"""Two chains for the tests of whole scenes or of one adapter, lent to one after the other."""

from collections.abc import Iterator

import pytest

from tests.chain.scene import Scene, played
from tests.devnet.bridge import Devnet, running
from tests.ports.stages import AnvilStage, on_anvil


@pytest.fixture(scope="package")
def scenery() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def scene(scenery: Devnet, database_url: str) -> Iterator[Scene]:
    with played(scenery, database_url) as scene:
        yield scene


@pytest.fixture(scope="module")
def fresh() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def stage(fresh: Devnet) -> Iterator[AnvilStage]:
    with on_anvil(fresh) as stage:
        yield stage
