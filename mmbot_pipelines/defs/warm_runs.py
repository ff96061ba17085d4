"""Runs on warm workers: a Celery task for each run, which names nothing but the run.

What may happen to a task, and why it is harmless: lost, doubled or late, it finds the run in
Dagster's storage, which executes each run once; and a run that was lost is given up, and its
orders are asked for again.
"""

from typing import Any, Self

import dagster as dg
from celery import Celery  # type: ignore[import-untyped]
from celery.canvas import Signature  # type: ignore[import-untyped]
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from pydantic import SecretStr

from mmbot_pipelines.defs.shared.dagster_internals import (
    CheckRunHealthResult,
    ConfigurableClassData,
    WorkerStatus,
)
from mmbot_pipelines.settings import Broker
from mmbot_pipelines.wiring import shared

_QUEUE = "dagster"  # the one that make_app declares

# A worker that has died while it took a task has not acknowledged it: another one gets it then.
_TAKEN_AGAIN_SECONDS = 60

_CONFIG: dict[str, Any] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    # Dagster's storage has the outcome.
    "task_ignore_result": True,
    # Acknowledged before it is executed: a second execution would find a run that has begun.
    "task_acks_late": False,
    # No task waits in a busy worker while another one is idle, or dies with it.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "task_publish_retry_policy": {
        "max_retries": 2,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "broker_connection_timeout": 3,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "visibility_timeout": _TAKEN_AGAIN_SECONDS,
        "socket_connect_timeout": 3,
        "socket_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    "worker_hijack_root_logger": False,
    # A child that has grown is replaced after its run; so is one that has done very many.
    "worker_max_memory_per_child": 500_000,  # kB
    "worker_max_tasks_per_child": 2_000,
    "worker_proc_alive_timeout": 60,
}


def celery_app(url: SecretStr) -> Celery:
    """Return the Celery application of both sides, without its task."""
    return make_app(app_args=_app_args(url))  # type: ignore[no-untyped-call]


def _app_args(url: SecretStr) -> dict[str, Any]:
    return {
        "broker": url.get_secret_value(),
        "backend": None,
        "config_source": _CONFIG,
        "task_default_queue": _QUEUE,
    }


class WarmRunLauncher(CeleryRunLauncher):
    """dagster-celery's launcher, which asks the workers' own keys how a run does.

    dagster-celery asks Celery's result backend, which calls a run whose worker was killed
    "started" for ever.
    """

    _broker: Broker

    @classmethod
    def of(cls, broker: Broker, inst_data: ConfigurableClassData | None) -> Self:
        """Return the launcher of runs on a broker."""
        given = _app_args(shared.broker_url(broker))
        launcher = cls(
            broker=given["broker"],
            config_source=given["config_source"],
            default_queue=_QUEUE,
            inst_data=inst_data,
        )
        launcher._broker = broker
        return launcher

    def _launch_celery_task_run(
        self, run: dg.DagsterRun, task_signature: Signature, routing_key: str
    ) -> None:
        """Send the task, whose id is the run's: dagster-celery stores it, and two events."""
        task_signature.apply_async(
            task_id=run.run_id, queue=_QUEUE, routing_key=f"{_QUEUE}.{routing_key}"
        )

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a worker executes a run that has begun.

        Raises:
            BrokerUnavailable: nothing is known; the next round asks again.
        """
        workers = shared.workers(self._broker)
        if workers is None or workers.is_running(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the worker that executed it has died")

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """Return nothing: `check_run_worker_health` says all."""
        return None

    def terminate(self, run_id: str) -> bool:
        """Kill the process that executes a run, which another one replaces; end the run."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status is not dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        self.celery.control.revoke(run_id, terminate=True, signal="SIGKILL")
        self._instance.report_run_canceled(run)
        return True
