"""Dagster's storage in the bot's own database.

`dagster_home/dagster.yaml` names `Storage`, so that MMBOT_DATABASE_URL is the only setting.
"""

import os
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar, Self

import dagster as dg
import psycopg2  # type: ignore[import-untyped]
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import Pool

from mmbot_pipelines.adapters.db.engine import replace_if_cut
from mmbot_pipelines.adapters.db.startup import ready_url
from mmbot_pipelines.adapters.db.urls import dagster_url
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.defs.shared.dagster_internals import (
    ConfigurableClassData,
    end_ticks_at_exit,
    is_of_an_asset,
    is_webserver,
    start_ticks_every,
)
from mmbot_pipelines.defs.shared.keyless import drop_keys
from mmbot_pipelines.settings import load_database, load_ui
from mmbot_pipelines.settings.home import STORAGE

_TICKS_EVERY_SECONDS = 0.5


@event.listens_for(Pool, "checkout")
def _still_there(connection: Any, *_: Any) -> None:
    """Let Dagster's pools, too, replace a connection that a restart of Postgres has cut.

    The next page of the UI, or the next event of a run, would fail otherwise.
    """
    if isinstance(connection, psycopg2.extensions.connection):
        replace_if_cut(connection)


# Connections that a process keeps open; more are opened while they are needed. Dagster opens one
# for every question otherwise, some forty of them a run.
_KEPT_CONNECTIONS = 4


@cache
def _engine(url: str) -> Engine:
    """Return the pool of connections of this process to Dagster's tables."""
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=_KEPT_CONNECTIONS, max_overflow=-1
    )
    # A forked process must not speak on its parent's connections, nor close them.
    os.register_at_fork(after_in_child=partial(engine.dispose, close=False))
    return engine


# Dagster deletes old ticks of a sensor after each of its ticks.
_PURGE_EVERY_SECONDS = 300.0


def _seldom(purge_ticks: Callable[..., None]) -> Callable[..., None]:
    """Return what deletes a sensor's old ticks, at most every five minutes."""
    purged: dict[object, float] = {}

    def purge(origin_id: str, selector_id: str, before: float, tick_statuses: Any = None) -> None:
        key, now = (selector_id, tuple(tick_statuses or ())), time.monotonic()
        if now - purged.get(key, float("-inf")) >= _PURGE_EVERY_SECONDS:
            purge_ticks(origin_id, selector_id, before, tick_statuses)
            purged[key] = now

    return purge


class Storage(DagsterPostgresStorage):
    """Runs and events in the schema `dagster` of MMBOT_DATABASE_URL.

    Dagster opens it for every tick of every sensor: it checks for its tables once per process,
    and all of them share one pool of connections.
    """

    _has_tables: ClassVar[bool] = False
    _has_columns: ClassVar[bool] = False
    _has_instigators: ClassVar[bool] = False

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the configuration in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> Self:
        """Open the storage that the environment names, and prepare the process that opens it.

        Every webserver and daemon opens its storage before it serves, also those of
        `dagster dev`, which run no other code of ours.
        """
        drop_keys()
        hosts = load_ui().hosts
        if is_webserver():
            # No other process needs Starlette.
            from mmbot_pipelines.defs.shared import ui_guard  # noqa: PLC0415

            ui_guard.install(hosts)
        start_ticks_every(_TICKS_EVERY_SECONDS)
        end_ticks_at_exit()
        database = load_database()
        url = ready_url(database.url, folder=database.folder, auto_migrate=database.auto_migrate)
        storage = cls(
            dagster_url(url),
            should_autocreate_tables=not cls._has_tables,
            inst_data=inst_data,
        )
        cls._has_tables = True
        for part in (storage._run_storage, storage._event_log_storage, storage._schedule_storage):
            part._engine = _engine(dagster_url(url))
        storage._ask_less()
        return storage

    def _ask_less(self) -> None:
        """Spare Postgres what Dagster asks nine times a run or twelve times a tick, and NOTIFY."""
        runs, schedules, known = self._run_storage, self._schedule_storage, type(self)
        if not known._has_columns:
            known._has_columns = runs.has_run_stats_index_cols()
        runs.has_run_stats_index_cols = lambda: known._has_columns  # type: ignore[method-assign]
        if not known._has_instigators:
            known._has_instigators = schedules.has_instigators_table()
        schedules._has_instigators_table = lambda conn: known._has_instigators  # type: ignore[method-assign]
        schedules.has_instigators_table = lambda: known._has_instigators  # type: ignore[method-assign]
        schedules.has_built_index = cache(schedules.has_built_index)  # type: ignore[method-assign]
        schedules.purge_ticks = _seldom(schedules.purge_ticks)  # type: ignore[method-assign]
        events = self._event_log_storage
        store_event = events.store_event

        def store(event: dg.EventLogEntry) -> None:
            if is_of_an_asset(event):
                store_event(event)
                return
            # Without a NOTIFY for Dagsters of long ago, which waits for every other one's commit.
            with events._connect() as connection:
                connection.execute(events.prepare_insert_event(event))

        events.store_event = store  # type: ignore[method-assign]


def require_ours(instance: dg.DagsterInstance | None) -> None:
    """Refuse requests of a Dagster instance without `Storage`: its UI has no guard.

    A webserver or daemon with another DAGSTER_HOME can still reach our code server.

    Raises:
        InvalidSettings: the instance has another storage.
    """
    ref = instance.get_ref() if instance is not None and instance.is_persistent else None
    storage = ref.storage_data if ref is not None else None
    if storage is None or (storage.module_name, storage.class_name) != STORAGE:
        raise InvalidSettings(
            "refused: the Dagster that asks for this does not keep its runs in our storage, so "
            "its UI answers any web page; for its webserver and daemon, too, set DAGSTER_HOME to "
            "the absolute path of a folder that holds the project's dagster.yaml"
        )
