"""What is read of an environment, and what stands where nothing is set."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings.bridge.starknet import Starknet
from tests.settings.environments import (
    GOOD,
    REGISTRY,
    SECRET,
    STARKNET,
    faults,
    starknet_of,
    zksync_of,
)


def test_the_required_settings_are_enough() -> None:
    read = settings.load(GOOD)
    assert read.l1.urls == ["https://user:pass1@one.example/apikey1", "http://two.example:8545"]
    assert read.l1.registry_abi == "v1"
    assert read.key.private_key is not None
    assert read.key.private_key.get_secret_value() == SECRET
    assert read.database.url is None
    assert read.database.auto_migrate
    assert read.origins == ("zksync",)
    zksync = zksync_of(read)
    assert zksync.escrow_address == "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
    assert zksync.wallet_address is None
    assert (zksync.accepted, zksync.claim_gas_limit) == (10, 1_000_000)
    assert (read.limits.min_transfer, read.limits.max_transfer) == (2 * 10**16, 10**17)
    assert (read.limits.min_margin_bps, read.limits.max_exposure) == (0, None)
    assert read.limits.confirmations == ()
    assert (read.execution.max_attempts, read.execution.max_runs_per_tick) == (5, 4)
    assert read.execution.retry_backoff_seconds == 30
    assert (read.limits.min_balance, read.execution.undelivered_after_seconds) == (0, 3600)
    assert read.execution.claim == "after_transfer"
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
            "MMBOT_EXPLORER_URLS": "L1=https://l1.example/, zksync=https://l2.example/x",
            "MMBOT_ZKSYNC_ACCEPTED": "finalized",
            "MMBOT_ZKSYNC_WALLET_ADDRESS": REGISTRY,
            "MMBOT_CONFIRMATIONS": "0:1, 50000000000000000:5, 900000000000000000:final",
            "MMBOT_MAX_EXPOSURE_WEI": str(2**256 - 1),
            "MMBOT_RETRY_BACKOFF_SECONDS": "0.5",
            "MMBOT_MIN_BALANCE_WEI": str(10**18),
            "MMBOT_UNDELIVERED_AFTER_SECONDS": "90",
            "MMBOT_CLAIM": "with_transfer",
            "MMBOT_MAX_PER_RECIPIENT_WEI": "1",
            "MMBOT_MAX_PER_HOUR_WEI": "2",
            "MMBOT_MAX_PER_DAY_WEI": "3",
            "MMBOT_HALT_AFTER_FAILURES": "4",
            "MMBOT_THROTTLE_FAILURE_PERCENT": "5",
            "MMBOT_THROTTLED_TRANSFERS": "6",
            "MMBOT_MAX_RPC_LAG_SECONDS": "7.5",
            "MMBOT_DRY_RUN": "1",
            "MMBOT_ALERT_URLS": "mailto://a?to=b@c.d,e@f.g, json://sink.example",
            "MMBOT_RUN_RETENTION_DAYS": "8",
            "DAGSTER_HOME": "/var/lib/dagster",
        }
    )
    assert read.database.url is not None
    assert read.database.url.get_secret_value() == "postgresql://bot:hunter2@db/mmbot"
    assert not read.database.auto_migrate
    assert read.database.run_retention_days == 8
    assert read.l1.start_block == 17
    assert read.origins == ("starknet", "zksync")
    assert dict(read.explorers) == {
        "global": "https://l1.example",
        "zksync": "https://l2.example/x",
    }
    zksync, starknet = zksync_of(read), starknet_of(read)
    assert (zksync.accepted, zksync.wallet_address) == ("finalized", REGISTRY)
    tiers = ((0, 1), (5 * 10**16, 5), (9 * 10**17, None))
    assert read.limits.confirmations == tiers
    assert read.limits.max_exposure == 2**256 - 1
    assert read.execution.retry_backoff_seconds == 0.5
    assert (read.limits.min_balance, read.execution.undelivered_after_seconds) == (10**18, 90)
    assert read.execution.claim == "with_transfer"
    limits, safety = read.limits, read.safety
    assert (limits.max_per_recipient, limits.max_per_hour, limits.max_per_day) == (1, 2, 3)
    assert (safety.halt_after_failures, safety.throttle_failure_percent) == (4, 5)
    assert (safety.throttled_transfers, safety.max_rpc_lag_seconds) == (6, 7.5)
    assert read.dry_run
    alerts = [url.get_secret_value() for url in read.alert_urls]
    assert alerts == ["mailto://a?to=b@c.d,e@f.g", "json://sink.example"]
    assert read.database.dagster_home == Path("/var/lib/dagster")
    assert starknet.chain_id == int.from_bytes(b"SN_MAIN", "big")
    assert starknet.escrow_address == f"0x{0xE5C:064x}"


def test_an_empty_variable_is_an_absent_one() -> None:
    assert settings.load(GOOD | {"MMBOT_DATABASE_URL": "", "MMBOT_MAX_ATTEMPTS": " "}).database == (
        settings.load(GOOD).database
    )
    (line,) = faults({"MMBOT_L1_CHAIN_ID": " "})
    assert line.startswith("MMBOT_L1_CHAIN_ID is missing")


def test_variables_of_others_are_let_be() -> None:
    settings.load(GOOD | {"MMBOT_TEST_STARKNET_RPC": "http://x", "MMBOT_COLOUR": "red"})


def test_an_origin_that_is_not_served_needs_no_settings() -> None:
    alone = {k: v for k, v in (GOOD | STARKNET).items() if "_ZKSYNC_" not in k}
    read = settings.load(alone | {"MMBOT_ORIGINS": "starknet"})
    assert [type(section) for section in read.origin_sections] == [Starknet]


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
    assert settings.load(GOOD).execution.max_attempts == 5


def test_the_database_can_be_found_without_the_rest() -> None:
    found = settings.load_database({"MMBOT_DATABASE_URL": "postgresql://db/mmbot"})
    assert found.url is not None
    assert settings.load_database({}).url is None
    with pytest.raises(InvalidSettings, match=r"^MMBOT_DATABASE_URL must be a Postgres URL"):
        settings.load_database({"MMBOT_DATABASE_URL": "sqlite:///x"})


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "rediss://:hunter2@db:6380/1", "redis+socket:///run/v.sock"],
)
def test_a_broker_is_named_by_its_url(url: str) -> None:
    found = settings.load_broker({"MMBOT_BROKER_URL": url})
    assert found.url is not None
    assert (found.url.get_secret_value(), found.is_embedded) == (url, False)
    assert "hunter2" not in f"{found!r} {found.description}"


def test_the_embedded_broker_lives_beside_the_embedded_database() -> None:
    found = settings.load_broker({"MMBOT_BROKER_URL": "embedded", "DAGSTER_HOME": "/var/lib/mmbot"})
    assert found.is_embedded
    assert found.folder == Path("/var/lib/mmbot/broker")
    assert settings.load_broker({}).url is None
