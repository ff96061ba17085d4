"""A warm worker: `celery -A mmbot_pipelines.worker worker`, as `mmbot workers` starts it.

The parent imports everything and opens nothing; each of its children, which it forks, opens
Dagster's storage, the database and the nodes once, and executes runs one after the other.
"""

import gc
import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from celery import Celery  # type: ignore[import-untyped]
from celery.signals import (  # type: ignore[import-untyped]
    setup_logging,
    worker_process_init,
    worker_ready,
)
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

from mmbot_pipelines import definitions
from mmbot_pipelines.adapters.processes import end_with_parent
from mmbot_pipelines.core.errors import Failure, InvalidSettings
from mmbot_pipelines.defs.event_buffer import EventBuffer
from mmbot_pipelines.defs.shared.dagster_internals import execute_run, run_of_task
from mmbot_pipelines.defs.storage import buffer_events
from mmbot_pipelines.defs.warm_runs import celery_app
from mmbot_pipelines.settings import Broker, load_broker, load_log_format
from mmbot_pipelines.settings.values import JSON
from mmbot_pipelines.wiring import shared

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.broker.workers import BrokerWorkers

_log = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    """Make the Celery application when Celery asks for it: an import reads no environment."""
    if name != "app":
        raise AttributeError(name)
    return _app()


@cache
def _app() -> Celery:
    broker = _broker()
    if broker.url is None:
        raise InvalidSettings("MMBOT_BROKER_URL is not set")
    definitions.defs()  # made here, for all children
    gc.collect()
    gc.freeze()  # no child walks through it again, which would copy its pages, too
    app = celery_app(shared.broker_url(broker))
    app.task(_execute_job, name=TASK_EXECUTE_JOB_NAME)
    if load_log_format() == JSON:
        setup_logging.connect(lambda **_: None, weak=False)  # Celery would print what we write
    worker_ready.connect(_show, weak=False)
    worker_process_init.connect(_warm_up, weak=False)
    return app


@cache
def _broker() -> Broker:
    return load_broker()


def _workers() -> "BrokerWorkers":
    """Return the other workers, as the broker shows them."""
    workers = shared.workers(_broker())
    assert workers is not None  # noqa: S101  this process was started for a broker
    return workers


def _execute_job(execute_job_args_packed: object) -> None:
    """Execute a run; what else the task names is not used."""
    run_id = run_of_task(execute_job_args_packed)
    with _workers().executing(run_id):
        instance, events = _opened()
        try:
            execute_run(instance, run_id)
        finally:
            events.flush_if_possible()


@cache
def _opened() -> tuple[dg.DagsterInstance, EventBuffer]:
    """Open Dagster's storage once per process; its events are written several at a time."""
    instance = dg.DagsterInstance.get()
    return instance, buffer_events(instance)


def _show(sender: Any, **_: Any) -> None:
    _workers().serve(sender.hostname)


def _warm_up(**_: Any) -> None:
    """Open in a new child what its first run would have to open."""
    end_with_parent()
    try:
        _opened()
        definitions.warm_up()
    except (InvalidSettings, Failure) as e:
        _log.warning("the first run will open what is not there yet: %s", e)
