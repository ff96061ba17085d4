"""All that the product uses of Dagster's private API, checked against one version.

To upgrade Dagster: check every name in this file, run tests/defs and tests/attacks, then set
`CHECKED_AGAINST`.
"""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.errors import DagsterUserCodeProcessError
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, unpack_value
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from starlette.middleware import Middleware

__all__ = [
    "CHECKED_AGAINST",
    "KEYLESS_PROGRAMS",
    "PARTITION_TAG",
    "TICK_LOGS",
    "CapturedLogContext",
    "CheckRunHealthResult",
    "ConfigurableClass",
    "ConfigurableClassData",
    "DagsterRunReaction",
    "DagsterUserCodeProcessError",
    "DefaultRunLauncher",
    "LocalComputeLogManager",
    "RunLauncher",
    "SerializableErrorInfo",
    "WorkerStatus",
    "add_middleware",
    "execute_run",
    "is_webserver",
    "run_of_task",
    "start_ticks_every",
]

CHECKED_AGAINST = "1.13.27"

# The webserver and the daemon of `dagster dev`, as `python -m` names them. A webserver that was
# started otherwise may have to start the code server, which needs the keys.
KEYLESS_PROGRAMS = ("dagster_webserver.__main__", "dagster._daemon.__main__")
PARTITION_TAG = "dagster/partition"  # of a run: the partition key it was launched for
TICK_LOGS = "__repository__"  # the folder of all ticks' logs, in the storage directory


def is_webserver() -> bool:
    """Return whether this process makes webservers."""
    return "dagster_webserver.webserver" in sys.modules


def add_middleware(make: "Callable[[], Middleware]") -> None:
    """Put a middleware in front of every webserver that this process makes; elsewhere do nothing.

    Raises:
        RuntimeError: this version of Dagster builds its webserver in another way.
    """
    webserver = sys.modules.get("dagster_webserver.webserver")
    if webserver is None:
        return
    kind = webserver.DagsterWebserver
    plain = getattr(kind, "_unguarded_middleware", None) or kind.__dict__.get("build_middleware")
    if plain is None:
        raise RuntimeError("this version of Dagster has no place for the guard of its UI")

    def build_middleware(self: object) -> "list[Middleware]":
        inner: Iterable[Middleware] = plain(self)
        return [make(), *inner]

    kind._unguarded_middleware = plain  # a process may open its instance again
    kind.build_middleware = build_middleware


def start_ticks_every(seconds: float) -> None:
    """Let a daemon in this process start a sensor's next tick so soon; elsewhere do nothing.

    Of itself it starts ticks every 5 s, so that nothing is found between the end of a tick that
    has found something and the next one.

    Raises:
        RuntimeError: this version of Dagster decides that in another way.
    """
    daemon = sys.modules.get("dagster._daemon.sensor")
    if daemon is None:
        return
    if "MIN_INTERVAL_LOOP_TIME" not in vars(daemon):
        raise RuntimeError("this version of Dagster has no interval between the ticks of sensors")
    vars(daemon)["MIN_INTERVAL_LOOP_TIME"] = seconds


def run_of_task(packed: Any) -> str:
    """Return the id of the run that a task of dagster-celery's launcher is for."""
    return unpack_value(packed, as_type=ExecuteRunArgs).run_id


def execute_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a run in this process; one that has begun or ended before is left alone."""
    # A third of a second for a process that executes none.
    from dagster._cli.api import _execute_run_command_body  # noqa: PLC0415

    _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)
