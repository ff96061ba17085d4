"""mmbot doctor, where Starknet is served: on a local node, an anvil and a prover."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.cli.doctor.findings import CheckStatus
from mmbot_pipelines.cli.doctor.starknet import nodes
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.devnet.starknet.contracts import development_keys
from mmbot_pipelines.devnet.starknet.deployment import StarknetDeployment, deploy_messaging
from mmbot_pipelines.devnet.starknet.felt import selector_of
from mmbot_pipelines.devnet.starknet.token import ETH
from tests.adapters.bridge.starknet.fake_prover import API_KEY, FakeProver, fake_prover
from tests.adapters.starknet.starknet_fakes import SN_MAIN, starknet_fake
from tests.chain.starknet.proving import TRANSFERS_SLOT
from tests.cli.command import CommandOutput, Mmbot, caller
from tests.cli.test_doctor import faults
from tests.devnet.bridge import Devnet, running
from tests.devnet.starknet_rpc import LocalStarknet, starknet

NOBODY = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture(scope="module")
def messaging(devnet: Devnet) -> ChecksumAddress:
    return deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def node(devnet: Devnet) -> Iterator[LocalStarknet]:
    with starknet(registry=int(devnet.deployment.l1.registry, 16)) as node:
        yield node


@pytest.fixture
def service() -> Iterator[FakeProver]:
    with fake_prover() as prover:
        yield prover


@pytest.fixture
def mmbot(
    devnet: Devnet,
    messaging: ChecksumAddress,
    node: LocalStarknet,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Mmbot:
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    for chain in (devnet.l1, devnet.l2):
        ask(chain, "evm_mine")  # its time is now
    deployed = StarknetDeployment(rpc_url=node.url, messaging=messaging)
    environ = environment(devnet.deployment) | deployed.settings()
    environ |= {
        "MMBOT_ORIGINS": "zksync,starknet",
        "MMBOT_DATABASE_URL": database_url,
        "DAGSTER_HOME": str(tmp_path),
    }

    def doctor(**changes: str) -> CommandOutput:
        return caller(environ | changes, capsys, monkeypatch)("doctor")

    return doctor


def proof(service: FakeProver, **changes: str) -> dict[str, str]:
    return {
        "MMBOT_STARKNET_REPAY": "storage_proof",
        "MMBOT_STARKNET_PROVER_URL": service.url,
        "MMBOT_STARKNET_PROVER_API_KEY": API_KEY,
        "MMBOT_STARKNET_PRIVATE_KEY": hex(development_keys(1).private_key),
        "MMBOT_STARKNET_PROVER_COST_WEI": "1000000000000",
        "MMBOT_STARKNET_TRANSFERS_SLOT": str(TRANSFERS_SLOT),
    } | changes


def test_all_is_well_with_messages(mmbot: Mmbot) -> None:
    output = mmbot()
    assert faults(output) == []
    for part in (
        "starknet node http://127.0.0.1:",
        "chain SN_DEVNET, block 0",
        "takes claims from our registry",
        "pays us, at 0x",
        "keeps messages to Starknet",
        "sends claims to 0x",
    ):
        assert part in output.out


def test_all_is_well_with_proofs_and_no_secret_is_shown(mmbot: Mmbot, service: FakeProver) -> None:
    output = mmbot(**proof(service))
    assert faults(output) == []
    for part in ("takes our API key", "takes proofs with its function withdraw", "STRK"):
        assert part in output.out
    for secret in (API_KEY, hex(development_keys(1).private_key)[2:], "/v1"):
        assert secret not in output.out + output.err


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"MMBOT_STARKNET_RPC_URLS": "http://127.0.0.1:1/k"}, "127.0.0.1:1 unreachable: fix"),
        ({"MMBOT_STARKNET_CHAIN_ID": "SN_MAIN"}, "but MMBOT_STARKNET_CHAIN_ID is 0x534e5f4d41494e"),
        ({"MMBOT_STARKNET_ESCROW_ADDRESS": "0x5"}, "on Starknet: fix MMBOT_STARKNET_ESCROW_ADDR"),
        ({"MMBOT_STARKNET_WALLET_ADDRESS": "0x5"}, "set MMBOT_STARKNET_WALLET_ADDRESS to it"),
        ({"MMBOT_STARKNET_MESSAGING_ADDRESS": NOBODY}, f"no contract is at {NOBODY} on L1"),
    ],
)
def test_each_broken_setting_is_found_with_its_remedy(
    mmbot: Mmbot, changes: dict[str, str], expected: str
) -> None:
    found = faults(mmbot(**changes))
    assert any(expected in line for line in found), found


def test_contracts_that_are_others_are_recognised(mmbot: Mmbot, devnet: Devnet) -> None:
    changes = {
        "MMBOT_STARKNET_ESCROW_ADDRESS": hex(ETH),
        "MMBOT_STARKNET_MESSAGING_ADDRESS": devnet.deployment.l1.registry,
    }
    found = faults(mmbot(**changes))
    assert any("is no Escrow (get_mm_starknet_contract" in line for line in found)
    assert any("keeps no messages to Starknet" in line for line in found)


def test_an_escrow_of_another_registry_or_paused_is_a_fault(
    mmbot: Mmbot, node: LocalStarknet
) -> None:
    stranger = account(5).address
    node.store("registry", value=int(stranger, 16))
    node.store("paused", value=1)
    node.mine()
    found = faults(mmbot())
    assert any(f"takes claims from {stranger}, but our registry is" in line for line in found)
    assert any("is paused" in line for line in found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"MMBOT_STARKNET_PROVER_API_KEY": "hunter2"}, "fix MMBOT_STARKNET_PROVER_API_KEY"),
        ({"MMBOT_STARKNET_PROVER_URL": "http://127.0.0.1:1"}, "127.0.0.1:1 is unreachable"),
        ({"MMBOT_STARKNET_PROOF_ENTRYPOINT": "take_it"}, "has no function take_it"),
    ],
)
def test_each_fault_of_proofs_is_found(
    mmbot: Mmbot, service: FakeProver, changes: dict[str, str], expected: str
) -> None:
    found = faults(mmbot(**proof(service, **changes)))
    assert any(expected in line for line in found), found
    assert "hunter2" not in str(found)


def test_nodes_that_lag_are_old_or_speak_another_version() -> None:
    with starknet_fake() as good, starknet_fake() as late, starknet_fake() as other:
        late.head, other.version = 50, "0.8.1"
        now = 1_700_000_000.0
        urls = [good.url, late.url, f"{other.url}/s3cret"]
        of_good, of_late, of_other = nodes(SN_MAIN, "SN_MAIN", urls, clock=lambda: now + 5)
        assert (of_good.mark, of_late.mark, of_other.mark) == (
            CheckStatus.OK,
            CheckStatus.FAULT,
            CheckStatus.FAULT,
        )
        assert of_good.text == "chain SN_MAIN, block 100, 5 s old"
        assert "50 blocks behind" in of_late.text
        assert "speaks Starknet JSON-RPC 0.8.1, not 0.10.2" in of_other.text
        assert "s3cret" not in of_other.text + of_other.subject
        (old,) = nodes(SN_MAIN, "SN_MAIN", [good.url], clock=lambda: now + 1000)
        assert old.mark is CheckStatus.NOTE


def test_a_registry_that_sends_claims_elsewhere(
    mmbot: Mmbot, devnet: Devnet, messaging: ChecksumAddress
) -> None:
    setter = devnet.registry.functions.setStarknetClaimPaymentSelector
    owner = devnet.deployment.l1.owner
    send(setter(0xBAD), sender=owner)
    try:
        found = faults(mmbot())
    finally:
        send(setter(selector_of("claim_payment")), sender=owner)
    assert any("StarknetEscrowClaimPaymentSelector of" in line for line in found), found
