"""What Starknet and its two ways of repayment need to have set."""

import pytest

from mmbot_pipelines import settings
from tests.settings.environments import GOOD, PROOF, STARKNET, faults, starknet_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MMBOT_STARKNET_CHAIN_ID", "SN_GOERLI"),
        ("MMBOT_STARKNET_ESCROW_ADDRESS", "0x" + "f" * 64),
        ("MMBOT_STARKNET_ESCROW_ADDRESS", "0x0"),
        ("MMBOT_STARKNET_WALLET_ADDRESS", ""),
        ("MMBOT_STARKNET_MESSAGING_ADDRESS", "0x1"),
    ],
)
def test_starknet_is_checked_when_it_is_served(name: str, value: str) -> None:
    (line,) = faults(STARKNET | {"MMBOT_ORIGINS": "zksync,starknet", name: value})
    assert line.startswith(f"{name} ")


def test_messages_need_nothing_of_a_prover() -> None:
    read = starknet_of(settings.load(GOOD | STARKNET | {"MMBOT_ORIGINS": "starknet"}))
    assert (read.repay, read.fee_margin_percent) == ("message", 20)
    assert (read.prover_url, read.prover_api_key, read.private_key) == (None, None, None)


def test_proofs_need_a_prover_and_an_account_and_show_no_secret() -> None:
    given = STARKNET | PROOF | {"MMBOT_ORIGINS": "starknet"}
    read = starknet_of(settings.load(GOOD | given))
    assert read.prover_api_key is not None
    assert read.prover_api_key.get_secret_value() == "hunter2"
    assert (read.proof_entrypoint, read.transfers_slot, read.prover_cost) == ("withdraw", 0, 5)
    for secret in ("hunter2", "abc1", "/v1"):
        assert secret not in repr(read)
    for name in list(PROOF)[1:]:
        (line,) = faults(given | {name: ""})
        assert line.startswith(f"{name} is missing: MMBOT_STARKNET_REPAY=storage_proof needs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MMBOT_STARKNET_REPAY", "hunter2"),
        ("MMBOT_STARKNET_PROVER_URL", "ftp://hunter2"),
        ("MMBOT_STARKNET_PROVER_URL", "http://hunter2.example/v1"),
        ("MMBOT_STARKNET_PROVER_COST_WEI", "0"),
        ("MMBOT_STARKNET_PRIVATE_KEY", "0x" + "f" * 64),
        ("MMBOT_STARKNET_PRIVATE_KEY", "0x0"),
        ("MMBOT_STARKNET_PROOF_ENTRYPOINT", "with draw"),
        ("MMBOT_STARKNET_FEE_MARGIN_PERCENT", "1001"),
        ("MMBOT_STARKNET_FEE_MARGIN_PERCENT", "-1"),
    ],
)
def test_what_proofs_need_is_checked(name: str, value: str) -> None:
    (line,) = faults(STARKNET | PROOF | {"MMBOT_ORIGINS": "starknet", name: value})
    assert line.startswith(f"{name} ")
    assert "hunter2" not in line


def test_proofs_are_of_a_registry_of_abi_v1() -> None:
    given = STARKNET | PROOF | {"MMBOT_ORIGINS": "starknet", "MMBOT_L1_REGISTRY_ABI": "v2"}
    (line,) = faults(given)
    assert "MMBOT_L1_REGISTRY_ABI is v2: set MMBOT_STARKNET_REPAY=message" in line
