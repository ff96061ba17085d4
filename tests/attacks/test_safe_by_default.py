"""What nobody has decided is not decided for the attacker."""

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.cli.doctor import chains as chain_checks
from mmbot_pipelines.cli.doctor import command
from mmbot_pipelines.cli.doctor.findings import CheckStatus
from tests.settings.environments import GOOD, STARKNET, faults

SERVED = GOOD | STARKNET | {"MMBOT_ORIGINS": "zksync,starknet"}
LIMITS = ("MMBOT_MAX_EXPOSURE_WEI", "MMBOT_MAX_PER_HOUR_WEI", "MMBOT_MAX_PER_DAY_WEI")
TWO = "http://a:1,http://b:1"


def served(**changes: str) -> list[str]:
    """Return what is wrong when Starknet is served with these settings."""
    return faults(SERVED | changes)


def test_starknet_is_not_served_without_confirmations_and_a_limit() -> None:
    missing = served(MMBOT_CONFIRMATIONS="", MMBOT_MAX_EXPOSURE_WEI="")
    assert [line.split()[0] for line in missing] == [
        "MMBOT_CONFIRMATIONS",
        "MMBOT_MAX_EXPOSURE_WEI",
    ]
    assert all("or `none`" in line for line in missing)


def test_tiers_that_ask_for_no_block_are_none_at_all() -> None:
    (line,) = served(MMBOT_CONFIRMATIONS="0:0")
    assert line.startswith("MMBOT_CONFIRMATIONS asks for no block")


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("logged", ["1000", "none", "NONE"])
def test_one_limit_or_an_explicit_none_is_enough(limit: str, logged: str) -> None:
    read = settings.load(SERVED | dict.fromkeys(LIMITS, "") | {limit: logged})
    most = (read.limits.max_exposure, read.limits.max_per_hour, read.limits.max_per_day)
    assert set(most) == ({None, 1000} if logged == "1000" else {None})


def test_no_confirmations_can_be_set_as_none() -> None:
    assert settings.load(SERVED | {"MMBOT_CONFIRMATIONS": "none"}).limits.confirmations == ()


def test_zksync_alone_may_go_without() -> None:
    assert settings.load(GOOD).limits.confirmations == ()


def test_two_nodes_must_agree_where_two_are_named() -> None:
    read = settings.load(SERVED | {"MMBOT_L1_RPC_URLS": TWO, "MMBOT_STARKNET_RPC_URLS": TWO})
    assert [read.quorum(chain) for chain in (read.l1, *read.origin_sections)] == [*(2, 1, 2)]
    same = settings.load(GOOD | {"MMBOT_L1_RPC_URLS": "http://a:1,http://a:1,http://a:1"})
    assert same.quorum(same.l1) == 1


def test_a_quorum_of_one_must_be_asked_for() -> None:
    read = settings.load(GOOD | {"MMBOT_L1_RPC_URLS": TWO, "MMBOT_RPC_QUORUM": "1"})
    assert read.quorum(read.l1) == 1


def test_prices_are_waited_for_a_day() -> None:
    assert settings.load(GOOD).limits.wait_for_price_seconds == 24 * 3600


def test_doctor_notes_each_limit_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_checks, "chains", lambda _: ())
    for name, value in (GOOD | {"MMBOT_RPC_QUORUM": "1", "MMBOT_MAX_PER_DAY_WEI": "5"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "_database", lambda _: iter(()))
    noted = {found.subject for found in command.findings() if found.mark is CheckStatus.NOTE}
    assert noted == {
        "MMBOT_MAX_EXPOSURE_WEI",
        "MMBOT_MAX_PER_HOUR_WEI",
        "MMBOT_MAX_PER_RECIPIENT_WEI",
        "MMBOT_MIN_BALANCE_WEI",
        "MMBOT_CONFIRMATIONS",
        "MMBOT_RPC_QUORUM",
        "MMBOT_BROKER_URL",
    }
