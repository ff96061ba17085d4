"""Further wallets: their variables by name, the faults of these, and that no key is shown."""

import pytest
from eth_account import Account

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings import without_keys
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring.wallets import delegating_wallets
from tests.settings.environments import GOOD, faults

KEY = "cd" * 32
ADDRESS = Account.from_key(KEY).address
SECOND = {
    "MMBOT_L1_MORE_WALLETS": "second",
    "MMBOT_L1_SECOND_WALLET_ADDRESS": ADDRESS,
    "MMBOT_L1_SECOND_PRIVATE_KEY": KEY,
}


def test_a_further_wallet_has_the_variables_of_the_first_with_its_name_in_them() -> None:
    (wallet,) = settings.load(GOOD | SECOND).more_wallets
    assert (wallet.name, wallet.address) == ("second", ADDRESS)
    assert shared.declared_signer(wallet).address == ADDRESS
    assert settings.load(GOOD).more_wallets == ()


def test_no_key_of_a_further_wallet_is_shown_or_read_without_need() -> None:
    read = settings.load(GOOD | SECOND)
    assert KEY not in repr(read)
    assert KEY not in str(read.more_wallets)
    assert not [name for name in without_keys(GOOD | SECOND) if "KEY" in name]
    (wallet,) = settings.load(GOOD | SECOND, keys=False).more_wallets
    assert (wallet.address, wallet.key) == (ADDRESS, None)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"MMBOT_L1_MORE_WALLETS": "Second"}, "MMBOT_L1_MORE_WALLETS must name each further"),
        ({"MMBOT_L1_MORE_WALLETS": "second,second"}, "MMBOT_L1_MORE_WALLETS must name each"),
        (
            {"MMBOT_L1_SECOND_WALLET_ADDRESS": ""},
            "MMBOT_L1_SECOND_WALLET_ADDRESS is missing: set it to the wallet's address",
        ),
        (
            {"MMBOT_L1_SECOND_PRIVATE_KEY": ""},
            "MMBOT_L1_SECOND_PRIVATE_KEY is missing: set it, or one of "
            "MMBOT_L1_SECOND_PRIVATE_KEY_FILE",
        ),
        (
            {"MMBOT_L1_SECOND_KMS_KEY_ID": "alias/mm"},
            "MMBOT_L1_SECOND_PRIVATE_KEY and MMBOT_L1_SECOND_KMS_KEY_ID are both set",
        ),
        (
            {"MMBOT_L1_WALLET_ADDRESS": ADDRESS},
            "MMBOT_L1_SECOND_WALLET_ADDRESS is another wallet's: give it one of its own",
        ),
        (
            {"MMBOT_L1_THIRD_PRIVATE_KEY": KEY},
            "MMBOT_L1_THIRD_PRIVATE_KEY belongs to no wallet: name third in MMBOT_L1_MORE_WALLETS",
        ),
    ],
)
def test_a_wrong_variable_is_one_line_that_names_it(changes: dict[str, str], line: str) -> None:
    (found,) = faults(SECOND | changes)
    assert found.startswith(line)
    assert KEY not in found


def test_a_key_of_another_address_is_refused_by_name() -> None:
    (wallet,) = settings.load(
        GOOD | SECOND | {"MMBOT_L1_SECOND_PRIVATE_KEY": "ef" * 32}
    ).more_wallets
    line = f"MMBOT_L1_SECOND_WALLET_ADDRESS is {ADDRESS}, but the key is of 0x"
    with pytest.raises(InvalidSettings, match=line):
        shared.declared_signer(wallet)


def test_the_first_wallets_key_is_no_other_wallets() -> None:
    first = Account.from_key(GOOD["MMBOT_L1_PRIVATE_KEY"]).address
    read = settings.load(
        GOOD
        | SECOND
        | {
            "MMBOT_L1_SECOND_WALLET_ADDRESS": first,
            "MMBOT_L1_SECOND_PRIVATE_KEY": GOOD["MMBOT_L1_PRIVATE_KEY"],
        }
    )
    with pytest.raises(InvalidSettings, match="MMBOT_L1_SECOND_WALLET_ADDRESS is the first wallet"):
        delegating_wallets(read)
