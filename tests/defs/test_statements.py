"""Dagster's storages ask less, and store the same."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy import event

from mmbot_pipelines.defs.storage import Storage, buffer_events
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT

REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("bridge"), "__repository__")
ORIGIN = RemoteInstigatorOrigin(REPOSITORY, "l1_receipts")


@pytest.fixture
def storage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("MMBOT_DATABASE_URL", database_url)
    monkeypatch.setattr(Storage, "_has_tables", False)
    return Storage.from_config_value(None, {})


def state(
    cursor: str | None, status: InstigatorStatus = InstigatorStatus.RUNNING
) -> InstigatorState:
    data = SensorInstigatorData(last_tick_timestamp=1.5, min_interval=1, cursor=cursor)
    return InstigatorState(ORIGIN, InstigatorType.SENSOR, status, data)


def statements(storage: Any) -> list[str]:
    """Return the statements that the storage sends from now on."""
    sent: list[str] = []

    @event.listens_for(storage._engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    return sent


def test_a_sensors_state_is_stored_in_one_statement(storage: Storage) -> None:
    schedules = storage.schedule_storage
    assert isinstance(schedules, PostgresScheduleStorage)
    schedules.add_instigator_state(state("1"))
    sent = statements(schedules)
    changed = state("2", InstigatorStatus.STOPPED)
    assert schedules.update_instigator_state(changed) == changed
    assert len(sent) == 1
    found = [
        schedules.get_instigator_state(changed.instigator_origin_id, changed.selector_id),
        *schedules.all_instigator_state(instigator_type=InstigatorType.SENSOR),
        *schedules.all_instigator_state(instigator_statuses={InstigatorStatus.STOPPED}),
    ]
    assert found == [changed] * 3
    assert not schedules.all_instigator_state(instigator_statuses={InstigatorStatus.RUNNING})


def test_the_state_of_an_unknown_sensor_is_refused(storage: Storage) -> None:
    with pytest.raises(DagsterInvariantViolationError, match="not present"):
        storage.schedule_storage.update_instigator_state(state("1"))


@dg.op
def speak(context: dg.OpExecutionContext) -> None:
    context.log.info("a word")
    context.log.info("another")


@dg.job(executor_def=dg.in_process_executor)
def talk() -> None:
    speak()


@pytest.fixture
def instance(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        yield made


def events_of(instance: dg.DagsterInstance) -> list[tuple[object, str]]:
    run_id = talk.execute_in_process(instance=instance).run_id
    entries = instance.all_logs(run_id)
    assert [e.timestamp for e in entries] == sorted(e.timestamp for e in entries)
    return [(e.dagster_event_type, e.user_message.split(" (")[0]) for e in entries]


def test_a_runs_events_are_the_same_in_a_few_statements(instance: dg.DagsterInstance) -> None:
    one_by_one = events_of(instance)
    assert len(one_by_one) >= 10
    buffer_events(instance)
    sent = statements(instance.event_log_storage)
    many_at_a_time = events_of(instance)
    took = re.compile(r"\d+(\.\d+)?m?s")
    assert [(kind, took.sub("", text)) for kind, text in many_at_a_time] == [
        (kind, took.sub("", text)) for kind, text in one_by_one
    ]
    inserts = [statement for statement in sent if "INSERT INTO event_logs" in statement]
    # with the start, with the end, and what is logged after it or took half a second
    assert 2 <= len(inserts) < len(one_by_one) / 2
