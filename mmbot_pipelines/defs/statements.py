"""Dagster's storages with fewer statements: what they ask many times a tick or a run. Dagster only.

Each function replaces methods of one storage object, and leaves what they return as it was.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import dagster as dg
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy import text

from mmbot_pipelines.defs.shared.dagster_internals import (
    InstigatorState,
    SqlEventLogStorageTable,
    deserialize_value,
    is_of_an_asset,
    serialize_value,
)

# Dagster deletes old ticks of a sensor after each of its ticks.
_PURGE_EVERY_SECONDS = 300.0

# Twice a tick, in place of a SELECT and two writes.
_STORE_STATE = text("""
    WITH of_job AS (
        UPDATE jobs SET status = :status, job_body = :body, selector_id = :selector,
            update_timestamp = :at
        WHERE job_origin_id = :origin
    )
    UPDATE instigators SET status = :status, instigator_type = :type, instigator_body = :body,
        update_timestamp = :at
    WHERE selector_id = :selector
""")

_there: set[str] = set()  # what Dagster's schema was found to have, in this process


def spare_runs(runs: PostgresRunStorage) -> None:
    """Look up once which columns the tables of runs have."""
    for name in ("has_run_stats_index_cols", "has_backfill_id_column"):
        _ask_once(runs, name)


def spare_events(events: PostgresEventLogStorage) -> None:
    """Store an event without a NOTIFY for Dagsters of long ago, which waits for every commit."""
    store_event = events.store_event

    def store(event: dg.EventLogEntry) -> None:
        if is_of_an_asset(event):
            store_event(event)
        else:
            store_events(events, [event])

    events.store_event = store  # type: ignore[method-assign]


def store_events(events: PostgresEventLogStorage, entries: Sequence[dg.EventLogEntry]) -> None:
    """Store events that belong to no asset, in one statement."""
    rows = [events._event_to_row(entry) for entry in entries]
    with events._connect() as connection:
        connection.execute(SqlEventLogStorageTable.insert(), rows)


def spare_schedules(schedules: PostgresScheduleStorage) -> None:
    """Look up tables once, read a state again only if it has changed, store it in one statement."""
    for name in (
        *("has_instigators_table", "_has_instigators_table"),
        "_has_asset_daemon_asset_evaluations_table",
    ):
        _ask_once(schedules, name)
    schedules.has_built_index = cache(schedules.has_built_index)  # type: ignore[method-assign]
    schedules.purge_ticks = _seldom(schedules.purge_ticks)  # type: ignore[method-assign]
    read, update = schedules._deserialize_rows, schedules.update_instigator_state

    def read_rows(rows: Sequence[Any], as_type: Any) -> Sequence[Any]:
        if as_type is not InstigatorState:
            return read(rows, as_type)
        return [_state(row[0]) for row in rows]

    def update_state(state: InstigatorState) -> InstigatorState:
        given = {
            "status": state.status.value,
            "type": state.instigator_type.value,
            "body": serialize_value(state),
            "at": datetime.now(UTC),
            "origin": state.instigator_origin_id,
            "selector": state.selector_id,
        }
        with schedules.connect() as connection:
            stored = connection.execute(_STORE_STATE, given).rowcount
        return state if stored else update(state)

    schedules._deserialize_rows = read_rows  # type: ignore[method-assign]
    schedules.update_instigator_state = update_state  # type: ignore[method-assign]


def _ask_once(storage: Any, name: str) -> None:
    """Let a method that looks for a table or column remember in this process that it is there."""
    ask = getattr(storage, name)

    def is_there(*args: Any) -> bool:
        if name not in _there and ask(*args):
            _there.add(name)
        return name in _there

    setattr(storage, name, is_there)


@lru_cache(maxsize=1000)
def _state(body: str) -> InstigatorState:
    """Return the state of a sensor or schedule, of which Dagster reads all twice a second."""
    return deserialize_value(body, InstigatorState)


def _seldom(purge_ticks: Callable[..., None]) -> Callable[..., None]:
    """Return what deletes a sensor's old ticks, at most every five minutes."""
    purged: dict[object, float] = {}

    def purge(origin_id: str, selector_id: str, before: float, tick_statuses: Any = None) -> None:
        key, now = (selector_id, tuple(tick_statuses or ())), time.monotonic()
        if now - purged.get(key, float("-inf")) >= _PURGE_EVERY_SECONDS:
            purge_ticks(origin_id, selector_id, before, tick_statuses)
            purged[key] = now

    return purge
