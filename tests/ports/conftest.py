"""Every suite here runs on the in-memory twin and on the real adapters."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.devnet.bridge import Devnet, running
from tests.ports.books import Books, in_memory, in_postgres
from tests.ports.stages import MemoryStage, Stage, on_anvil
from tests.ports.starknet_stage import on_starknet

# What a suite asks that does not differ between origins is asked of zkSync alone.
_ON_STARKNET = ("test_origin", "test_registry")


@pytest.fixture(scope="session")
def port_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture(scope="session")
def port_messaging(port_devnet: Devnet) -> ChecksumAddress:
    return deploy_messaging(port_devnet.deployment.l1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        stages = ["memory", "anvil", *(["starknet"] if module in _ON_STARKNET else [])]
        metafunc.parametrize("stage", stages, indirect=True)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "memory":
        yield MemoryStage()
        return
    devnet = request.getfixturevalue("port_devnet")
    if request.param == "anvil":
        with on_anvil(devnet) as stage:
            yield stage
        return
    with on_starknet(devnet, request.getfixturevalue("port_messaging")) as on_l2:
        yield on_l2


@pytest.fixture(params=["memory", "postgres"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    if request.param == "memory":
        yield in_memory()
        return
    with in_postgres(request.getfixturevalue("database_url")) as books:
        yield books
