"""Local chains with the bridge on them; every test starts from the same state."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import deploy_l1
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.devnet.bridge import Devnet, rolled_back, running
from tests.devnet.starknet_bridge import REGISTRY
from tests.devnet.starknet_l1 import L1, MAKER, l1_at
from tests.devnet.starknet_rpc import LocalStarknet, starknet


@pytest.fixture(scope="module")
def fresh_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh_devnet: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh_devnet) as devnet:
        yield devnet


@pytest.fixture
def rpc() -> Iterator[LocalStarknet]:
    with starknet(registry=int(REGISTRY, 16)) as rpc:
        yield rpc


@pytest.fixture(scope="module")
def fresh_l1() -> Iterator[L1]:
    with Anvil(chain_id=31337) as anvil:
        deployed = deploy_l1(anvil.url, MAKER)
        yield l1_at(anvil.url, deployed.registry, deploy_messaging(deployed))


@pytest.fixture
def l1(fresh_l1: L1) -> Iterator[L1]:
    snapshot = ask(fresh_l1.w3, "evm_snapshot")
    yield fresh_l1
    assert ask(fresh_l1.w3, "evm_revert", snapshot)
