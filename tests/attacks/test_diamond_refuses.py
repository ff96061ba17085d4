"""A claim's message that zkSync's diamond refuses is found before money is out."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.cli.doctor import zksync as zksync_checks
from mmbot_pipelines.cli.doctor.findings import CheckResult, CheckStatus
from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from tests.devnet.bridge import Devnet, rolled_back, running
from tests.settings.environments import zksync_of


@pytest.fixture(scope="module")
def fresh() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh) as devnet:
        yield devnet


def diamond(devnet: Devnet, gas: int = 1_000_000) -> list[CheckResult]:
    read = settings.load(environment(devnet.deployment))
    zksync = zksync_of(read).model_copy(update={"claim_gas_limit": Gas(gas)})
    rpc = Rpc(read.l1.urls, chain="L1", chain_id=read.l1.chain_id)
    found = zksync_checks.origin(zksync, read.l1, rpc, None)
    return [f for f in found if f.subject == "diamond"]


def test_doctor_lets_the_diamond_judge_the_message(devnet: Devnet) -> None:
    found = diamond(devnet)
    assert [f.mark for f in found] == [CheckStatus.OK] * 2
    assert "it takes a claim's message of 1000000 L2 gas" in found[1].text
    assert diamond(devnet, 254_000)[1].mark is CheckStatus.OK


@pytest.mark.parametrize(
    ("gas", "expected"),
    [
        (253_000, '"up": too little L2 gas, raise MMBOT_ZKSYNC_CLAIM_GAS_LIMIT'),
        (72_010_001, '"ui": too much L2 gas, lower MMBOT_ZKSYNC_CLAIM_GAS_LIMIT'),
    ],
)
def test_a_gas_limit_that_the_diamond_refuses_is_a_fault(
    devnet: Devnet, gas: int, expected: str
) -> None:
    fault = diamond(devnet, gas)[1]
    assert fault.mark is CheckStatus.FAULT
    assert expected in fault.text


def test_a_registry_without_money_of_its_own_is_simulated_all_the_same(devnet: Devnet) -> None:
    ask(devnet.l1, "anvil_setBalance", devnet.registry.address, hex(0))
    assert [f.mark for f in diamond(devnet)] == [CheckStatus.OK] * 2
