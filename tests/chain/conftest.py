"""Two chains for the tests of whole scenes, lent to one after the other."""

from collections.abc import Iterator

import pytest

from tests.chain.scene import Scene, played
from tests.devnet.bridge import Devnet, running


@pytest.fixture(scope="package")
def scenery() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def scene(scenery: Devnet, database_url: str) -> Iterator[Scene]:
    with played(scenery, database_url) as scene:
        yield scene
