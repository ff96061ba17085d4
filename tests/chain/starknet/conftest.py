"""A local Starknet, its L1 and its prover, lent to one test after the other."""

from collections.abc import Iterator

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.adapters.bridge.starknet.fake_prover import FakeProver, fake_prover
from tests.chain.starknet.proving import by_proof, prove
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_ports import StarknetPorts, on_starknet


@pytest.fixture(scope="package")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def ports(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetPorts]:
    with on_starknet(*fresh) as ports:
        yield ports


@pytest.fixture
def linked(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetPorts]:
    """Lend a Starknet that carries messages from L1 by itself."""
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as ports:
        yield ports


@pytest.fixture
def service(ports: StarknetPorts) -> Iterator[FakeProver]:
    """Lend a prover that reads L1 and makes what it read a fact on Starknet."""
    with fake_prover() as prover:
        prover.prove = lambda query: prove(ports, query)
        yield prover


@pytest.fixture
def origin(ports: StarknetPorts, service: FakeProver) -> StarknetOrigin:
    return ports.starknet(ports.l2, by_proof(ports, service))
