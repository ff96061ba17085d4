"""Suites of chains run on the in-memory twin and on the real adapters, others on Postgres."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import MemoryPorts, PortHarness, on_anvil
from tests.ports.starknet_ports import on_starknet
from tests.ports.stores import Stores, books_on
from tests.postgres import clean_engine

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
    if "ports" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        stages = ["memory", "anvil", *(["starknet"] if module in _ON_STARKNET else [])]
        metafunc.parametrize("ports", stages, indirect=True)


@pytest.fixture
def ports(request: pytest.FixtureRequest) -> Iterator[PortHarness]:
    if request.param == "memory":
        yield MemoryPorts()
        return
    devnet = request.getfixturevalue("port_devnet")
    if request.param == "anvil":
        with on_anvil(devnet) as ports:
            yield ports
        return
    with on_starknet(devnet, request.getfixturevalue("port_messaging")) as on_l2:
        yield on_l2


@pytest.fixture
def stores() -> Stores:
    return books_on(clean_engine())
