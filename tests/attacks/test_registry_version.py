"""The registry was replaced by one of another ABI, or the settings name the wrong one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry, abi_of
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.cli.doctor import chains as chain_checks
from mmbot_pipelines.cli.doctor.findings import CheckStatus
from mmbot_pipelines.core.errors import InvalidSettings, RegistryAbiMismatch
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.wiring import bridge as wiring
from tests.bridge.harness import BridgeHarness
from tests.bridge.orders import an_order
from tests.devnet.bridge import Devnet, rolled_back, running
from tests.ports.registry_memory import RegistryMemory

ONE_WORD = "0x60015f5260205ff3"  # answers any call with 32 bytes, as `transfers` of v2 does


@pytest.fixture(scope="module")
def fresh() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh) as devnet:
        yield devnet


@pytest.fixture
def v2(devnet: Devnet) -> Devnet:
    ask(devnet.l1, "anvil_setCode", devnet.registry.address, ONE_WORD)
    return devnet


def l1(devnet: Devnet) -> Rpc:
    return Rpc([devnet.deployment.l1.rpc_url], chain="L1", chain_id=31337)


def registry_faults(devnet: Devnet) -> list[str]:
    found = chain_checks.chains(settings.load(environment(devnet.deployment)))
    return [f.text for f in found if (f.mark, f.subject) == (CheckStatus.FAULT, "registry")]


def test_doctor_and_start_refuse_a_registry_of_another_abi(v2: Devnet) -> None:
    assert any("answers as ABI v2" in text for text in registry_faults(v2))
    with pytest.raises(
        InvalidSettings, match=r"MMBOT_L1_REGISTRY_ABI is v1, but .* answers as ABI v2"
    ):
        wiring.refuse_losing_settings(settings.load(environment(v2.deployment)))
    with pytest.raises(RegistryAbiMismatch, match="MMBOT_L1_REGISTRY_ADDRESS"):
        PaymentRegistry(l1(v2), v2.registry.address, start_block=0).used([an_order(1)])


def test_the_right_registry_starts_and_so_does_one_that_no_node_shows(devnet: Devnet) -> None:
    assert abi_of(l1(devnet), devnet.registry.address) == "v1"
    assert registry_faults(devnet) == []
    good = environment(devnet.deployment)
    wiring.refuse_losing_settings(settings.load(good))
    away = good | {"MMBOT_L1_RPC_URLS": "http://127.0.0.1:1"}
    wiring.refuse_losing_settings(settings.load(away))


@pytest.fixture(scope="module")
def devnet_v2() -> Iterator[Devnet]:
    with running("v2") as devnet:
        yield devnet


def test_a_registry_of_v2_starts(devnet_v2: Devnet) -> None:
    assert registry_faults(devnet_v2) == []
    wiring.refuse_losing_settings(settings.load(environment(devnet_v2.deployment)))
    v1 = environment(devnet_v2.deployment) | {"MMBOT_L1_REGISTRY_ABI": "v1"}
    with pytest.raises(InvalidSettings, match="set MMBOT_L1_REGISTRY_ABI=v2"):
        wiring.refuse_losing_settings(settings.load(v1))


def test_a_registry_that_has_an_origin_under_another_id_is_refused(
    devnet_v2: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ORIGINS["zksync"], "v2", 300)
    (text,) = registry_faults(devnet_v2)
    assert "has zksync as chain 324, the bot pays as chain 300" in text
    with pytest.raises(InvalidSettings, match="it is the registry of another network"):
        wiring.refuse_losing_settings(settings.load(environment(devnet_v2.deployment)))


class AnotherRegistry(RegistryMemory):
    """A registry whose answers have another shape, while `odd`."""

    odd = True

    def used(self, orders: list[Order]) -> list[bool]:  # type: ignore[override]
        if self.odd and orders:
            raise RegistryAbiMismatch("it answers as ABI v2")
        return super().used(orders)


def test_a_registry_of_another_abi_is_one_halt_and_parks_no_order() -> None:
    harness = BridgeHarness()
    registry = AnotherRegistry(harness.chain)
    harness.registry = harness.l2.registry = registry
    harness.bridge = replace(harness.bridge, registry=registry)
    keys = harness.set_and_detect(30)
    for _ in range(3):
        harness.transfer(keys)
        harness.later(10)
    scope_state = state_of(harness.store.safety.scope_states(), GLOBAL)
    assert scope_state.state is State.HALTED
    assert "RegistryAbiMismatch: it answers as ABI v2" in scope_state.why
    assert len(harness.store.safety.changes(10)) == 1
    assert not any(harness.order(key).failed for key in keys)
    assert set(harness.statuses().values()) == {Status.PENDING}
    assert [e for key in keys for e in harness.store.errors.of(key)] == []
