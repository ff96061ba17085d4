"""Dagster's storage in the bot's own database.

`dagster_home/dagster.yaml` names `Storage`, so that MMBOT_DATABASE_URL is the only setting.
"""

import os
from functools import cache, partial
from typing import Any, ClassVar, Self

import dagster as dg
import psycopg2  # type: ignore[import-untyped]
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import Pool

from mmbot_pipelines.adapters.db.engine import replace_if_cut
from mmbot_pipelines.adapters.db.startup import ready_url
from mmbot_pipelines.adapters.db.urls import dagster_url
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.defs.event_buffer import EventBuffer
from mmbot_pipelines.defs.shared.dagster_internals import (
    ConfigurableClassData,
    end_ticks_at_exit,
    is_webserver,
    start_ticks_every,
)
from mmbot_pipelines.defs.shared.keyless import drop_keys
from mmbot_pipelines.defs.shared.logs import configure_logs
from mmbot_pipelines.defs.statements import spare_events, spare_runs, spare_schedules, store_events
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


class Storage(DagsterPostgresStorage):
    """Runs and events in the schema `dagster` of MMBOT_DATABASE_URL.

    Dagster opens it often: it checks for its tables once per process, and all that a process
    opens share one pool of connections.
    """

    _has_tables: ClassVar[bool] = False

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
        configure_logs()
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
        spare_runs(storage._run_storage)
        spare_events(storage._event_log_storage)
        spare_schedules(storage._schedule_storage)
        return storage


def buffer_events(instance: dg.DagsterInstance) -> EventBuffer:
    """Let an instance write the events of its runs several at a time."""
    events = instance.event_log_storage
    if not isinstance(events, PostgresEventLogStorage):
        raise InvalidSettings("the events of Dagster are not kept in our storage")
    buffer = EventBuffer(partial(store_events, events), events.store_event)
    events.store_event = buffer.store  # type: ignore[method-assign]
    return buffer


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
