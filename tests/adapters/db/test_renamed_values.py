"""Rows of the names before have the new ones after the migration, and the old ones again."""

from importlib import import_module

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from mmbot_pipelines.adapters.db import migrate
from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.bridge.alerting import long_waits
from mmbot_pipelines.bridge.ports.order_stats import LongWait
from tests.bridge.orders import NOON

MIGRATION = import_module("mmbot_pipelines.adapters.db.migrations.versions.0023_renamed_values")

OLD = """
INSERT INTO mmbot.orders (origin, number, recipient, amount, fee, block_number, block_hash,
    set_order_tx, status, attempt, failures, failed, reason, changed_at, version)
SELECT 'zksync', n, '0x1', 1, 1, 1, CASE n WHEN 1 THEN 'taken back' ELSE '0xab' END,
    '0x2', 'PROCESSING', 1, 0, false, (ARRAY['NoSuchBlock: gone',
        'waits: no room under MMBOT_MAX_EXPOSURE_WEI now', 'waits: GLOBAL is HALTED'])[n], now(), 0
FROM generate_series(1, 3) n;
INSERT INTO mmbot.order_events (key, after, at, run_id, reason)
SELECT 'zksync:1', 'PENDING', now(), 'r', reason
FROM unnest(ARRAY['Lost: nonce 7', 'LostRace: not ours', 'waits: its price', NULL]) reason;
INSERT INTO mmbot.errors (subject, step, kind, message, at, run_id)
SELECT 'zksync:1', 'transfer', kind, 'm', now(), 'r' FROM unnest(CAST(:kinds AS text[])) kind;
INSERT INTO mmbot.alerts (channel, key, severity, title, text, lasting, since, told_at, tries)
SELECT 'journal', key, 'HIGH', 't', 't', true, now(), now(), 0
FROM unnest(CAST(:keys AS text[])) key;
INSERT INTO mmbot.safety_events (scope, before, after, by_whom, why, at)
SELECT 'global', 'THROTTLED', 'NORMAL', 'bot', why, now()
FROM unnest(ARRAY['over: 10 steps', 'all is well']) why;
"""
LIMIT = "waits: no room under MMBOT_MAX_EXPOSURE_WEI now"
NEW_LIMIT = "waiting: MMBOT_MAX_EXPOSURE_WEI reached"


@pytest.fixture
def before(empty_database_url: str) -> str:
    migrate.upgrade(empty_database_url, MIGRATION.down_revision)
    with engine(empty_database_url).begin() as connection:
        for statement in filter(str.strip, OLD.split(";")):
            given = {
                "kinds": [*MIGRATION.KINDS, "Reverted"],
                "keys": [*MIGRATION.ALERTS, wait_key(LIMIT), "floor"],
            }
            used = {name: value for name, value in given.items() if f":{name}" in statement}
            connection.execute(text(statement), used)
    return empty_database_url


def wait_key(reason: str) -> str:
    (alert,) = long_waits.notices(
        [LongWait(reason=reason, orders=1, oldest="zksync:1", since=NOON)]
    )
    return alert.key


def engine(url: str) -> Engine:
    return create_engine(store_url(url), poolclass=NullPool)


def column(url: str, query: str) -> list[object]:
    with engine(url).connect() as connection:
        return list(connection.scalars(text(query)))


KINDS = "SELECT kind FROM mmbot.errors ORDER BY id"
SUMS = "SELECT labels[2] FROM mmbot.tallies WHERE name = 'failures' ORDER BY id"
REASONS = "SELECT reason FROM mmbot.orders ORDER BY number"
ALERTS = "SELECT key FROM mmbot.alerts WHERE {} IS NOT NULL ORDER BY id"
SAFETY = "SELECT why FROM mmbot.safety_events ORDER BY id"
HISTORY = "SELECT reason FROM mmbot.order_events ORDER BY id"


def test_stored_names_are_renamed_and_back(before: str) -> None:
    migrate.upgrade(before)
    renamed = [*MIGRATION.KINDS.values(), "Reverted"]
    assert column(before, KINDS) == renamed
    assert sorted(map(str, column(before, SUMS))) == sorted(renamed)
    assert column(before, REASONS) == [
        "OrderOrphaned: gone",
        "waiting: MMBOT_MAX_EXPOSURE_WEI reached",
        "waiting: GLOBAL is HALTED",
    ]
    history = ["NonceTaken: nonce 7", "LostRace: not ours", "waiting: its price", None]
    assert column(before, HISTORY) == history
    assert column(before, "SELECT block_hash FROM mmbot.orders ORDER BY number")[0] == "orphaned"
    keys = [*MIGRATION.ALERTS.values(), wait_key(NEW_LIMIT), "floor"]
    assert column(before, ALERTS.format("sent_at")) == keys
    assert column(before, SAFETY) == ["resolved: 10 steps", "all is well"]

    migrate.downgrade(before, MIGRATION.down_revision)
    assert column(before, KINDS) == [*MIGRATION.KINDS, "Reverted"]
    assert column(before, REASONS)[:2] == [
        "NoSuchBlock: gone",
        "waits: no room under MMBOT_MAX_EXPOSURE_WEI now",
    ]
    assert column(before, HISTORY)[0] == "Lost: nonce 7"
    keys = [*MIGRATION.ALERTS, wait_key(LIMIT), "floor"]
    assert column(before, ALERTS.format("told_at")) == keys
    assert column(before, SAFETY) == ["over: 10 steps", "all is well"]


def test_every_range_of_ids_is_reached(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MIGRATION, "_RANGE", 2)
    migrate.upgrade(before)
    assert column(before, KINDS) == [*MIGRATION.KINDS.values(), "Reverted"]
