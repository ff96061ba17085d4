"""Settings: what is read, and the one line that each fault gets."""

import os
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import BadSettings

REGISTRY = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SECRET = "ab" * 32
GOOD = {
    "MMBOT_L1_RPC_URLS": "https://user:pass1@one.example/apikey1, http://two.example:8545",
    "MMBOT_L1_CHAIN_ID": "1",
    "MMBOT_L1_REGISTRY_ADDRESS": REGISTRY,
    "MMBOT_L1_PRIVATE_KEY": SECRET,
    "MMBOT_ZKSYNC_RPC_URLS": "http://127.0.0.1:3050",
    "MMBOT_ZKSYNC_CHAIN_ID": "324",
    "MMBOT_ZKSYNC_ESCROW_ADDRESS": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "MMBOT_ZKSYNC_DIAMOND_ADDRESS": REGISTRY,
}
STARKNET = {
    "MMBOT_STARKNET_RPC_URLS": "http://127.0.0.1:5050",
    "MMBOT_STARKNET_CHAIN_ID": "SN_MAIN",
    "MMBOT_STARKNET_ESCROW_ADDRESS": "0xE5C",
    "MMBOT_STARKNET_WALLET_ADDRESS": "0x123",
    "MMBOT_STARKNET_MESSAGING_ADDRESS": REGISTRY,
}


def faults(changes: dict[str, str]) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        settings.load(GOOD | changes)
    return str(caught.value).splitlines()


def test_the_required_settings_are_enough() -> None:
    read = settings.load(GOOD)
    assert read.l1.urls == ["https://user:pass1@one.example/apikey1", "http://two.example:8545"]
    assert read.l1.registry_abi == "v1"
    assert read.key.private_key is not None
    assert read.key.private_key.get_secret_value() == SECRET
    assert read.database.url is None
    assert read.database.auto_migrate
    assert read.origins == ("zksync",)
    assert read.starknet is None
    assert read.zksync is not None
    assert read.zksync.escrow_address == "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
    assert read.zksync.wallet_address is None
    assert (read.zksync.accepted, read.zksync.claim_gas_limit) == (10, 1_000_000)
    assert (read.limits.min_transfer, read.limits.max_transfer) == (1, 10**17)
    assert (read.limits.min_margin_bps, read.limits.max_exposure) == (0, None)
    assert read.limits.confirmations == ()
    assert (read.pace.max_attempts, read.pace.max_runs_per_tick) == (5, 4)
    assert read.pace.retry_backoff_seconds == 30
    assert (read.limits.min_balance, read.pace.undelivered_after_seconds) == (0, 3600)
    limits, safety = read.limits, read.safety
    assert (limits.max_per_recipient, limits.max_per_hour, limits.max_per_day) == (None,) * 3
    assert (safety.halt_after_failures, safety.throttle_failure_percent) == (10, 50)
    assert (safety.throttled_transfers, safety.max_rpc_lag_seconds) == (1, None)
    assert not read.dry_run
    assert read.alert_urls == ()
    assert read.database.dagster_home is None


def test_every_setting_is_taken_over() -> None:
    read = settings.load(
        GOOD
        | STARKNET
        | {
            "MMBOT_DATABASE_URL": "postgresql://bot:hunter2@db/mmbot",
            "MMBOT_AUTO_MIGRATE": "No",
            "MMBOT_L1_START_BLOCK": "17",
            "MMBOT_ORIGINS": "starknet, zksync",
            "MMBOT_ZKSYNC_ACCEPTED": "finalized",
            "MMBOT_ZKSYNC_WALLET_ADDRESS": REGISTRY,
            "MMBOT_CONFIRMATIONS": "0:1, 50000000000000000:5, 900000000000000000:final",
            "MMBOT_MAX_EXPOSURE_WEI": str(2**256 - 1),
            "MMBOT_RETRY_BACKOFF_SECONDS": "0.5",
            "MMBOT_MIN_BALANCE_WEI": str(10**18),
            "MMBOT_UNDELIVERED_AFTER_SECONDS": "90",
            "MMBOT_MAX_PER_RECIPIENT_WEI": "1",
            "MMBOT_MAX_PER_HOUR_WEI": "2",
            "MMBOT_MAX_PER_DAY_WEI": "3",
            "MMBOT_HALT_AFTER_FAILURES": "4",
            "MMBOT_THROTTLE_FAILURE_PERCENT": "5",
            "MMBOT_THROTTLED_TRANSFERS": "6",
            "MMBOT_MAX_RPC_LAG_SECONDS": "7.5",
            "MMBOT_DRY_RUN": "1",
            "MMBOT_ALERT_URLS": "mailto://a?to=b@c.d,e@f.g, json://sink.example",
            "MMBOT_KEEP_RUNS_DAYS": "8",
            "DAGSTER_HOME": "/var/lib/dagster",
        }
    )
    assert read.database.url is not None
    assert read.database.url.get_secret_value() == "postgresql://bot:hunter2@db/mmbot"
    assert not read.database.auto_migrate
    assert read.database.keep_runs_days == 8
    assert read.l1.start_block == 17
    assert read.origins == ("starknet", "zksync")
    assert read.zksync is not None
    assert (read.zksync.accepted, read.zksync.wallet_address) == ("finalized", REGISTRY)
    tiers = ((0, 1), (5 * 10**16, 5), (9 * 10**17, None))
    assert read.limits.confirmations == tiers
    assert read.limits.max_exposure == 2**256 - 1
    assert read.pace.retry_backoff_seconds == 0.5
    assert (read.limits.min_balance, read.pace.undelivered_after_seconds) == (10**18, 90)
    limits, safety = read.limits, read.safety
    assert (limits.max_per_recipient, limits.max_per_hour, limits.max_per_day) == (1, 2, 3)
    assert (safety.halt_after_failures, safety.throttle_failure_percent) == (4, 5)
    assert (safety.throttled_transfers, safety.max_rpc_lag_seconds) == (6, 7.5)
    assert read.dry_run
    alerts = [url.get_secret_value() for url in read.alert_urls]
    assert alerts == ["mailto://a?to=b@c.d,e@f.g", "json://sink.example"]
    assert read.database.dagster_home == Path("/var/lib/dagster")
    assert read.starknet is not None
    assert read.starknet.chain_id == int.from_bytes(b"SN_MAIN", "big")
    assert read.starknet.escrow_address == f"0x{0xE5C:064x}"


def test_nothing_set_gives_one_line_for_each_missing_setting() -> None:
    with pytest.raises(BadSettings) as caught:
        settings.load({})
    lines = str(caught.value).splitlines()
    assert {line.split(" is missing: ")[0] for line in lines} == set(GOOD)
    assert len(lines) == len(GOOD)


def test_an_empty_variable_is_an_absent_one() -> None:
    assert settings.load(GOOD | {"MMBOT_DATABASE_URL": "", "MMBOT_MAX_ATTEMPTS": " "}).database == (
        settings.load(GOOD).database
    )
    (line,) = faults({"MMBOT_L1_CHAIN_ID": " "})
    assert line.startswith("MMBOT_L1_CHAIN_ID is missing")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MMBOT_L1_RPC_URLS", "http://ok,ftp://x", "entry 2"),
        ("MMBOT_L1_RPC_URLS", "one.example:8545", "entry 1"),
        ("MMBOT_L1_RPC_URLS", "http://one.example:99999", "entry 1"),
        ("MMBOT_L1_RPC_URLS", "http://[::1", "entry 1"),
        ("MMBOT_L1_RPC_URLS", ",", "no URL"),
        ("MMBOT_L1_CHAIN_ID", "mainnet", "chain id"),
        ("MMBOT_L1_CHAIN_ID", "0", "chain id"),
        ("MMBOT_L1_REGISTRY_ADDRESS", "0x123", "40 hex digits"),
        ("MMBOT_L1_REGISTRY_ADDRESS", REGISTRY[2:], "40 hex digits"),
        ("MMBOT_L1_REGISTRY_ADDRESS", "0x" + "0" * 40, "zero address"),
        ("MMBOT_L1_REGISTRY_ADDRESS", REGISTRY.replace("C8", "c8"), "checksum"),
        ("MMBOT_L1_REGISTRY_ABI", "v2", "does not speak yet"),
        ("MMBOT_L1_REGISTRY_ABI", "v3", "v1 or v2"),
        ("MMBOT_L1_START_BLOCK", "-1", "a block"),
        ("MMBOT_L1_PRIVATE_KEY", "0x1234", "64 hex digits"),
        ("MMBOT_L1_PRIVATE_KEY", "zz" * 32, "64 hex digits"),
        ("MMBOT_RPC_QUORUM", "0", "count"),
        ("MMBOT_DATABASE_URL", "mysql://a:hunter2@b/c", "Postgres URL"),
        ("MMBOT_ORIGINS", "zksync,solana", "zksync, starknet"),
        ("MMBOT_ORIGINS", "zksync,zksync", "once"),
        ("MMBOT_ZKSYNC_ACCEPTED", "latest", "safe"),
        ("MMBOT_ZKSYNC_ACCEPTED", "-3", "number of blocks"),
        ("MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", "0", "gas"),
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
        ("MMBOT_KEEP_RUNS_DAYS", "36501", "from 1 to 36500"),
        ("MMBOT_ALERT_URLS", "hunter2", "Apprise"),
        ("DAGSTER_HOME", "dagster_home", "absolute"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_variable_and_without_the_value(
    name: str, value: str, says: str
) -> None:
    (line,) = faults({name: value})
    assert line.startswith(f"{name} ")
    assert says in line
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


def test_variables_of_others_are_let_be() -> None:
    settings.load(GOOD | {"MMBOT_TEST_STARKNET_RPC": "http://x", "MMBOT_COLOUR": "red"})


def test_an_origin_that_is_not_served_needs_no_settings() -> None:
    alone = {k: v for k, v in (GOOD | STARKNET).items() if "_ZKSYNC_" not in k}
    read = settings.load(alone | {"MMBOT_ORIGINS": "starknet"})
    assert read.zksync is None
    assert read.starknet is not None


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


PROOF = {
    "MMBOT_STARKNET_REPAY": "storage_proof",
    "MMBOT_STARKNET_PROVER_URL": "https://prover.example/v1",
    "MMBOT_STARKNET_PROVER_API_KEY": "hunter2",
    "MMBOT_STARKNET_PRIVATE_KEY": "0xabc1",
}


def test_messages_need_nothing_of_a_prover() -> None:
    read = settings.load(GOOD | STARKNET | {"MMBOT_ORIGINS": "starknet"}).starknet
    assert read is not None
    assert (read.repay, read.fee_margin_percent) == ("message", 20)
    assert (read.prover_url, read.prover_api_key, read.private_key) == (None, None, None)


def test_proofs_need_a_prover_and_an_account_and_show_no_secret() -> None:
    given = STARKNET | PROOF | {"MMBOT_ORIGINS": "starknet"}
    read = settings.load(GOOD | given).starknet
    assert read is not None
    assert read.prover_api_key is not None
    assert read.prover_api_key.get_secret_value() == "hunter2"
    assert (read.proof_entrypoint, read.transfers_slot, read.prover_cost) == ("withdraw", 0, 0)
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


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY_FILE": str(tmp_path)})
    assert line.startswith("MMBOT_L1_PRIVATE_KEY and MMBOT_L1_PRIVATE_KEY_FILE are both set")


def test_a_key_in_kms_is_a_fourth_source() -> None:
    arn = "arn:aws:kms:eu-west-1:123456789012:key/1a2b-3c4d"
    for key_id in (arn, "alias/market-maker"):
        given = GOOD | {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KMS_KEY_ID": key_id}
        assert settings.load(given).key.kms_key_id == key_id
    (line,) = faults({"MMBOT_L1_KMS_KEY_ID": arn})
    assert line.startswith("MMBOT_L1_PRIVATE_KEY and MMBOT_L1_KMS_KEY_ID are both set")
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KMS_KEY_ID": "a key"})
    assert line.startswith("MMBOT_L1_KMS_KEY_ID must be the id, ARN or alias/name")


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


def test_a_keystore_and_its_password_go_together(tmp_path: Path) -> None:
    keystore = tmp_path / "keystore.json"
    keystore.write_text("{}")
    keystore.chmod(0o600)
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KEYSTORE_FILE": str(keystore)})
    assert "MMBOT_L1_KEYSTORE_PASSWORD_FILE go together" in line
    both = {
        "MMBOT_L1_PRIVATE_KEY": "",
        "MMBOT_L1_KEYSTORE_FILE": str(keystore),
        "MMBOT_L1_KEYSTORE_PASSWORD_FILE": str(keystore),
    }
    assert settings.load(GOOD | both).key.keystore_file == keystore


def test_a_key_file_is_there_private_and_a_file(tmp_path: Path) -> None:
    def fault(path: Path) -> str:
        (line,) = faults(
            {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_PRIVATE_KEY_FILE": str(path)},
        )
        return line

    key = tmp_path / "key"
    assert "cannot be read (No such file or directory)" in fault(key)
    assert "is not a file" in fault(tmp_path)
    key.write_text(SECRET)
    key.chmod(0o644)
    assert f"chmod 600 {key}" in fault(key)
    if os.geteuid() != 0:  # root reads everything
        key.chmod(0o000)
        assert "cannot be read (Permission denied)" in fault(key)
    key.chmod(0o600)
    named = {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_PRIVATE_KEY_FILE": str(key)}
    assert settings.load(GOOD | named).key.private_key_file == key


def test_settings_show_no_secret() -> None:
    read = settings.load(
        GOOD
        | {
            "MMBOT_DATABASE_URL": "postgresql://bot:hunter2@db/mmbot",
            "MMBOT_ALERT_URLS": "tgram://token3/chat",
        }
    )
    shown = f"{read!r} {read} {read.key!r} {read.l1} {read.model_dump()} {read.model_dump_json()}"
    for secret in (SECRET, "hunter2", "pass1", "apikey1", "token3"):
        assert secret not in shown


def test_settings_do_not_change() -> None:
    read = settings.load(GOOD)
    with pytest.raises(ValidationError):
        read.l1.chain_id = 2
    with pytest.raises(ValidationError):
        read.dry_run = True


def test_equal_settings_are_one_key() -> None:
    assert len({settings.load(GOOD), settings.load(dict(GOOD))}) == 1
    assert len({settings.load(GOOD), settings.load(GOOD | {"MMBOT_DRY_RUN": "yes"})}) == 2


def test_only_the_given_mapping_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMBOT_MAX_ATTEMPTS", "9")
    monkeypatch.setenv("MMBOT_DRY_RUN", "nonsense")
    assert settings.load(GOOD).pace.max_attempts == 5


def test_the_database_can_be_found_without_the_rest() -> None:
    found = settings.load_database({"MMBOT_DATABASE_URL": "postgresql://db/mmbot"})
    assert found.url is not None
    assert settings.load_database({}).url is None
    with pytest.raises(BadSettings, match=r"^MMBOT_DATABASE_URL must be a Postgres URL"):
        settings.load_database({"MMBOT_DATABASE_URL": "sqlite:///x"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@node.example/v2/apikey?k=1", "https://node.example"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/x", "http://[::1]:8545"),
        ("nonsense", "an unreadable URL"),
        ("http://[", "an unreadable URL"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert settings.place(url) == shown


@given(st.dictionaries(st.sampled_from(settings.VARIABLES), st.text(max_size=80)))
def test_whatever_is_set_either_loads_or_is_a_bad_setting(changes: dict[str, str]) -> None:
    said = ""
    try:
        settings.load(GOOD | changes)
    except BadSettings as e:
        said = str(e)
    assert all(line.startswith(settings.VARIABLES) for line in said.splitlines())


EXAMPLE = Path(__file__).parents[1] / ".env.example"


def test_the_example_names_exactly_the_settings() -> None:
    assert sorted(dotenv_values(EXAMPLE)) == sorted(settings.VARIABLES)


def test_the_example_loads_once_its_gaps_are_filled() -> None:
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    with pytest.raises(BadSettings) as caught:
        settings.load(example)
    lines = str(caught.value).splitlines()
    assert all(" is missing: " in line for line in lines)
    gaps = {name: GOOD[name] for name in (line.split()[0] for line in lines)}
    assert settings.load(example | gaps).limits == settings.load(GOOD).limits
    assert settings.load(example | gaps).pace == settings.load(GOOD).pace


def test_every_setting_of_the_example_is_explained() -> None:
    before = ""
    for line in EXAMPLE.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            assert before.startswith(("#", "MMBOT_MIN_TRANSFER_WEI")), line
        before = line
