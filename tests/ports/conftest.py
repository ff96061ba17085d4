"""Suites of chains run on the in-memory twin and on the real adapters, others on Postgres."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import MemoryPorts, PortHarness, on_anvil
from tests.ports.starknet_ports import on_starknet
from tests.ports.stores import Stores, books_on
from tests.postgres import clean_engine

# These suites run on every origin of the registry; a new one needs its line here. What the others
# ask does not differ between origins, and is asked of zkSync alone.
_OF_ORIGINS = ("test_origin", "test_claim_batches", "test_registry")
_REAL_PORTS = {"zksync": ["anvil", "anvil-v2"], "starknet": ["starknet", "starknet-v2"]}


@pytest.fixture(scope="session")
def port_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture(scope="session")
def port_devnet_v2() -> Iterator[Devnet]:
    with running("v2") as devnet:
        yield devnet


@pytest.fixture(scope="session")
def port_messaging(port_devnet: Devnet) -> ChecksumAddress:
    return deploy_messaging(port_devnet.deployment.l1)


@pytest.fixture(scope="session")
def port_messaging_v2(port_devnet_v2: Devnet) -> ChecksumAddress:
    return deploy_messaging(port_devnet_v2.deployment.l1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "ports" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        which = ["memory", "anvil"]
        if module in _OF_ORIGINS:
            which = ["memory", *(real for origin in ORIGINS for real in _REAL_PORTS[origin])]
        metafunc.parametrize("ports", which, indirect=True)


@pytest.fixture
def ports(request: pytest.FixtureRequest) -> Iterator[PortHarness]:
    if request.param == "memory":
        yield MemoryPorts()
        return
    origin, _, version = request.param.partition("-")
    suffix = f"_{version}" if version else ""
    devnet = request.getfixturevalue(f"port_devnet{suffix}")
    if origin == "anvil":
        with on_anvil(devnet) as ports:
            yield ports
        return
    messaging = request.getfixturevalue(f"port_messaging{suffix}")
    with on_starknet(devnet, messaging) as on_l2:
        yield on_l2


@pytest.fixture
def stores() -> Stores:
    return books_on(clean_engine())
