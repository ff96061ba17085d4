"""Every suite here runs on the in-memory twin and on the real adapter."""

from collections.abc import Iterator

import pytest

from tests.devnet.bridge import Devnet, running
from tests.ports.stages import MemoryStage, Stage, on_anvil


@pytest.fixture(scope="session")
def port_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture(params=["memory", "anvil"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "memory":
        yield MemoryStage()
    else:
        with on_anvil(request.getfixturevalue("port_devnet")) as stage:
            yield stage
