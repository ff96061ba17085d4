"""Which launcher Dagster uses, and what becomes of a run whose task is lost or doubled."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest
from dagster._core.launcher import LaunchRunContext

from mmbot_pipelines.adapters.broker.workers import BrokerWorkers
from mmbot_pipelines.defs.launcher import Launcher
from mmbot_pipelines.defs.shared.dagster_internals import (
    DefaultRunLauncher,
    WorkerStatus,
    execute_run,
)
from mmbot_pipelines.defs.warm_runs import WarmRunLauncher
from mmbot_pipelines.settings import load_broker
from mmbot_pipelines.wiring import shared
from tests.broker import Broker

DONE: list[str] = []


@dg.op
def count(context: dg.OpExecutionContext) -> None:
    DONE.append(context.run_id)


@dg.job(executor_def=dg.in_process_executor)
def counting() -> None:
    count()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {"run_monitoring": {"enabled": True}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    job = dg.reconstructable(counting)
    return instance.create_run_for_job(counting, job_code_origin=job.get_python_origin())


@pytest.fixture
def launcher(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> WarmRunLauncher:
    monkeypatch.setenv("MMBOT_BROKER_URL", broker.url.get_secret_value())
    made = Launcher.from_config_value(None, {})
    assert isinstance(made, WarmRunLauncher)
    made.register_instance(instance)
    return made


def test_without_a_broker_dagsters_own_launcher_serves_and_says_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MMBOT_BROKER_URL", "")
    with caplog.at_level(logging.WARNING):
        assert isinstance(Launcher.from_config_value(None, {}), DefaultRunLauncher)
    (line,) = caplog.messages
    assert line.startswith("MMBOT_BROKER_URL is not set: each run starts a process of its own")


def test_a_run_is_executed_once_however_often_its_task_comes(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    DONE.clear()
    for _ in range(2):
        execute_run(instance, run.run_id)
    assert run.run_id in DONE
    assert len(DONE) == 1


def test_a_run_that_has_begun_is_not_begun_again(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    DONE.clear()
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
    instance.report_dagster_event(event, run.run_id)
    execute_run(instance, run.run_id)
    assert DONE == []


def test_a_run_that_was_given_up_is_not_executed_any_more(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    DONE.clear()
    instance.report_run_failed(run)
    execute_run(instance, run.run_id)
    assert DONE == []


def test_a_run_whose_worker_died_is_reported_dead(
    launcher: WarmRunLauncher, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = shared.workers(load_broker())
    assert workers is not None
    with workers.executing(run.run_id):
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    monkeypatch.setattr("mmbot_pipelines.adapters.broker.workers._ALIVE_SECONDS", 0)
    health = launcher.check_run_worker_health(run)
    assert health.status is WorkerStatus.FAILED
    assert health.msg == "the worker that executed it has died"


def test_a_task_has_the_id_of_its_run(launcher: WarmRunLauncher, run: dg.DagsterRun) -> None:
    launcher.launch_run(LaunchRunContext(run, workspace=None))
    with launcher.celery.connection_for_read() as connection:
        task = connection.SimpleQueue("dagster").get(timeout=120)
    assert task.headers["id"] == run.run_id


def test_a_run_that_a_person_ends_has_its_process_killed(
    launcher: WarmRunLauncher,
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revoked: list[tuple[str, dict[str, object]]] = []
    control = SimpleNamespace(revoke=lambda task, **how: revoked.append((task, how)))
    monkeypatch.setattr(type(launcher.celery), "control", control)
    assert launcher.terminate(run.run_id)
    assert revoked == [(run.run_id, {"terminate": True, "signal": "SIGKILL"})]
    ended = cast("dg.DagsterRun", instance.get_run_by_id(run.run_id))
    assert ended.status is dg.DagsterRunStatus.CANCELED
    assert not launcher.terminate(run.run_id)


def test_the_launcher_asks_the_brokers_workers(broker: Broker, launcher: WarmRunLauncher) -> None:
    assert isinstance(shared.workers(load_broker()), BrokerWorkers)
    assert launcher.broker == broker.url.get_secret_value()
