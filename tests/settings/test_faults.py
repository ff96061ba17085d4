"""Each wrong, missing or misspelt setting is one line that names it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from tests.settings.environments import GOOD, REGISTRY, STARKNET, faults


def test_nothing_set_gives_one_line_for_each_missing_setting() -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings.load({})
    lines = str(caught.value).splitlines()
    assert {line.split(" is missing: ")[0] for line in lines} == set(GOOD)
    assert len(lines) == len(GOOD)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MMBOT_L1_RPC_URLS", "http://ok,ftp://x", "entry 2"),
        ("MMBOT_L1_RPC_URLS", "one.example:8545", "entry 1"),
        ("MMBOT_L1_RPC_URLS", "http://one.example:99999", "entry 1"),
        ("MMBOT_L1_RPC_URLS", "http://[::1", "entry 1"),
        ("MMBOT_L1_RPC_URLS", ",", "no URL"),
        ("MMBOT_L1_WS_URLS", "wss://ok,https://x", "entry 2"),
        ("MMBOT_L1_WS_URLS", "ws://", "entry 1"),
        ("MMBOT_L1_CHAIN_ID", "mainnet", "chain id"),
        ("MMBOT_L1_CHAIN_ID", "0", "chain id"),
        ("MMBOT_L1_REGISTRY_ADDRESS", "0x123", "40 hex digits"),
        ("MMBOT_L1_REGISTRY_ADDRESS", REGISTRY[2:], "40 hex digits"),
        ("MMBOT_L1_REGISTRY_ADDRESS", "0x" + "0" * 40, "zero address"),
        ("MMBOT_L1_REGISTRY_ADDRESS", REGISTRY.replace("C8", "c8"), "checksum"),
        ("MMBOT_L1_REGISTRY_ABI", "v3", "v1 or v2"),
        ("MMBOT_L1_START_BLOCK", "-1", "a block"),
        ("MMBOT_L1_PRIVATE_KEY", "0x1234", "64 hex digits"),
        ("MMBOT_L1_PRIVATE_KEY", "zz" * 32, "64 hex digits"),
        ("MMBOT_RPC_QUORUM", "0", "count"),
        ("MMBOT_DATABASE_URL", "mysql://a:hunter2@b/c", "Postgres URL"),
        ("MMBOT_BROKER_URL", "amqp://a:hunter2@b/c", "redis://:password@host"),
        ("MMBOT_BROKER_URL", "redis://", "embedded"),
        ("MMBOT_WORKER_PROCESSES", "0", "count"),
        ("MMBOT_ORIGINS", "zksync,solana", "zksync, starknet"),
        ("MMBOT_ORIGINS", "zksync,zksync", "once"),
        ("MMBOT_ZKSYNC_ACCEPTED", "latest", "safe"),
        ("MMBOT_ZKSYNC_ACCEPTED", "-3", "number of blocks"),
        ("MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", "0", "gas"),
        ("MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", "253999", "from 254000 to 72010000"),
        ("MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", "72010001", "from 254000 to 72010000"),
        ("MMBOT_MIN_TRANSFER_WEI", "-1", "wei"),
        ("MMBOT_MAX_TRANSFER_WEI", "0.1", "wei"),
        ("MMBOT_MAX_TRANSFER_WEI", "1e17", "wei"),
        ("MMBOT_MAX_TRANSFER_WEI", str(2**256), "wei"),
        ("MMBOT_MAX_TRANSFER_WEI", "\u0663", "wei"),
        ("MMBOT_MIN_MARGIN_BPS", "10001", "percent"),
        ("MMBOT_CONFIRMATIONS", "5", "wei:blocks"),
        ("MMBOT_CONFIRMATIONS", "0:1,9:-2", "wei:blocks"),
        ("MMBOT_CONFIRMATIONS", "9:1,9:2", "rise"),
        ("MMBOT_CONFIRMATIONS", "0:5,9:2", "rise"),
        ("MMBOT_CONFIRMATIONS", "0:final,9:2", "rise"),
        ("MMBOT_CONFIRMATIONS", "0:finalized", "wei:final"),
        ("MMBOT_MAX_ATTEMPTS", "0", "count"),
        ("MMBOT_RETRY_BACKOFF_SECONDS", "nan", "seconds"),
        ("MMBOT_HALT_AFTER_FAILURES", "0", "count"),
        ("MMBOT_THROTTLE_FAILURE_PERCENT", "101", "percentage"),
        ("MMBOT_DRY_RUN", "maybe", "true or false"),
        ("MMBOT_RUN_RETENTION_DAYS", "36501", "from 1 to 36500"),
        ("MMBOT_ALERT_URLS", "hunter2", "Apprise"),
        ("MMBOT_EXPLORER_URLS", "L1=https://ok, zksync=hunter2", "entry 2"),
        ("MMBOT_EXPLORER_URLS", "solana=https://ok", "L1, zksync, starknet"),
        ("DAGSTER_HOME", "dagster_home", "absolute"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_variable_and_without_the_value(
    name: str, value: str, expected: str
) -> None:
    (line,) = faults({name: value})
    assert line.startswith(f"{name} ")
    assert expected in line
    assert "hunter2" not in line
    if len(value) > 20:
        assert value not in line


def test_all_faults_come_together() -> None:
    lines = faults(
        {
            "MMBOT_L1_CHAIN_ID": "x",
            "MMBOT_L1_PRIVATE_KEY": "",
            "MMBOT_MIN_TRANSFER_WEI": "2",
            "MMBOT_MAX_TRANSFER_WEI": "1",
            "MMBOT_MAX_ATEMPTS": "3",
        }
    )
    assert [line.split()[0] for line in lines] == [
        "MMBOT_MAX_ATEMPTS",
        "MMBOT_L1_CHAIN_ID",
        "MMBOT_L1_PRIVATE_KEY",
        "MMBOT_MIN_TRANSFER_WEI",
    ]
    assert "did you mean MMBOT_MAX_ATTEMPTS?" in lines[0]
    assert "MMBOT_MAX_TRANSFER_WEI" in lines[3]


@pytest.mark.parametrize("name", ["mmbot_dry_run", "MMBOT_DRYRUN", "MMBOT_L1_RPC_URL"])
def test_a_misspelt_variable_is_a_fault(name: str) -> None:
    (line,) = faults({name: "x"})
    assert line.startswith(f"{name} is not a setting: did you mean MMBOT_")


def test_a_quorum_needs_as_many_different_nodes() -> None:
    same = "http://a:1,http://a:1"
    lines = faults({"MMBOT_RPC_QUORUM": "2", "MMBOT_L1_RPC_URLS": same})
    assert lines == [
        f"MMBOT_RPC_QUORUM asks for 2 nodes, but {name} names 1: name more or ask for fewer"
        for name in ("MMBOT_L1_RPC_URLS", "MMBOT_ZKSYNC_RPC_URLS")
    ]
    both = STARKNET | {"MMBOT_ORIGINS": "zksync,starknet", "MMBOT_RPC_QUORUM": "2"}
    assert any("MMBOT_STARKNET_RPC_URLS names 1" in line for line in faults(both))
    two = "http://a:1,http://b:1"
    given = {"MMBOT_RPC_QUORUM": "2", "MMBOT_L1_RPC_URLS": two, "MMBOT_ZKSYNC_RPC_URLS": two}
    assert settings.load(GOOD | given).rpc_quorum == 2


@given(st.dictionaries(st.sampled_from(settings.VARIABLES), st.text(max_size=80)))
def test_whatever_is_set_either_loads_or_is_a_bad_setting(changes: dict[str, str]) -> None:
    logged = ""
    try:
        settings.load(GOOD | changes)
    except InvalidSettings as e:
        logged = str(e)
    names = [line.split()[0] for line in logged.splitlines()]
    assert all(n.startswith(settings.VARIABLES) or settings.is_wallets(n) for n in names)


def test_batches_of_claims_need_a_registry_that_takes_them() -> None:
    (line,) = faults({"MMBOT_CLAIM": "batched"})
    assert line.startswith("MMBOT_CLAIM=batched needs MMBOT_L1_REGISTRY_ABI=v2")
    read = settings.load(GOOD | {"MMBOT_CLAIM": "batched", "MMBOT_L1_REGISTRY_ABI": "v2"})
    execution = read.execution
    assert (execution.batch_orders, execution.batch_age_seconds) == (20, 60)
    assert execution.batch_exposure == 10**18
    (line,) = faults({"MMBOT_CLAIM_BATCH_ORDERS": "1"})
    assert "a whole number from 2 to 100" in line
