"""All that the product uses of Dagster's private API, checked against one version.

To upgrade Dagster: check every name in this file, run tests/defs and tests/attacks, then set
`CHECKED_AGAINST`.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster import _loggers
from dagster._core.definitions import instigation_logger
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.scheduler.instigation import InstigatorState
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import (
    ConfigurableClass,
    ConfigurableClassData,
    deserialize_value,
    serialize_value,
    unpack_value,
)
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from grpc import ServicerContext  # type: ignore[import-untyped]
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
    "InstigatorState",
    "LocalComputeLogManager",
    "RunLauncher",
    "SerializableErrorInfo",
    "SqlEventLogStorageTable",
    "WorkerStatus",
    "add_middleware",
    "deserialize_value",
    "end_ticks_at_exit",
    "execute_run",
    "follow_ticks",
    "is_followed",
    "is_of_an_asset",
    "is_tick_wanted",
    "is_webserver",
    "run_of_task",
    "serialize_value",
    "share_instance",
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


def is_of_an_asset(entry: "EventLogEntry") -> bool:
    """Return whether an event belongs to an asset, whose tables it changes."""
    return entry.dagster_event_type in ASSET_EVENTS | ASSET_CHECK_EVENTS


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


_END_TICKS = "mmbot: the daemon stops"  # what a daemon pings its code servers with
_ENDING_SECONDS = 5.0  # in which a daemon that stops may still begin ticks


class _Tick(threading.local):
    """The tick that a thread of a code server evaluates."""

    call: "ServicerContext | None" = None  # of the daemon


class _Ending:
    """When a daemon announced to this code server that it stops."""

    at = float("-inf")  # when, on the monotonic clock


_tick = _Tick()


def follow_ticks() -> None:
    """Let ticks in this code server know whether their daemon waits; elsewhere do nothing.

    A code server that loads its code only when it is asked for it (`dagster dev`) has none that
    are followed.
    """
    server = sys.modules.get("dagster._grpc.server")
    if server is None or hasattr(server.DagsterApiServer, "_unfollowed"):
        return
    kind = server.DagsterApiServer
    evaluate, answer = kind.SyncExternalSensorExecution, kind.Ping

    def follow(self: object, request: Any, context: "ServicerContext") -> Any:
        _tick.call = context
        try:
            return evaluate(self, request, context)
        finally:
            _tick.call = None

    def ping(self: object, request: Any, context: "ServicerContext") -> Any:
        if request.echo == _END_TICKS:
            _Ending.at = time.monotonic()
        return answer(self, request, context)

    kind._unfollowed, kind.SyncExternalSensorExecution, kind.Ping = evaluate, follow, ping


def log_runs_and_ticks_to(console: logging.Logger) -> None:
    """Let runs and ticks print to one logger; of itself Dagster makes a coloured one for each."""
    for module in (_loggers, instigation_logger):
        setattr(module, "create_console_logger", lambda *_, **__: console)  # noqa: B010


class _Opened:
    """The Dagster instance that the ticks of this code server share."""

    lock = threading.Lock()
    ref: Any = None
    instance: dg.DagsterInstance | None = None


def share_instance() -> None:
    """Let the ticks of sensors in this code server share one Dagster instance, which stays open.

    Of itself each tick opens one, which took an eighth of the code server's time.
    """
    kind = dg.SensorEvaluationContext
    if "dagster._grpc.server" not in sys.modules or hasattr(kind, "_unshared"):
        return
    plain: Any = kind.instance

    def instance(self: Any) -> dg.DagsterInstance:
        if self._instance is None and self._instance_ref is not None:
            with _Opened.lock:
                if self._instance_ref != _Opened.ref:
                    _Opened.instance = dg.DagsterInstance.from_ref(self._instance_ref)
                    _Opened.ref = self._instance_ref
                self._instance = _Opened.instance
        return cast(dg.DagsterInstance, plain.fget(self))

    vars_of: Any = kind
    vars_of._unshared, vars_of.instance = plain, property(instance)


def is_followed() -> bool:
    """Return whether it is known of this thread's tick when nobody waits for it any more."""
    return _tick.call is not None


def is_tick_wanted() -> bool:
    """Return whether the daemon waits for this thread's tick, as far as that is known.

    It does not once it was killed, or was asked to stop and waits for its last ticks.
    """
    is_ending = time.monotonic() - _Ending.at < _ENDING_SECONDS
    return _tick.call is None or (_tick.call.is_active() and not is_ending)


def end_ticks_at_exit() -> None:
    """Let a daemon in this process announce its end to its code servers; elsewhere do nothing.

    It stops only when its last tick has ended.

    Raises:
        RuntimeError: this version of Dagster stops in another way.
    """
    module = sys.modules.get("dagster._daemon.controller")
    if module is None or hasattr(module.DagsterDaemonController, "_unannounced"):
        return
    kind = module.DagsterDaemonController
    plain = kind.__dict__.get("__exit__")
    if plain is None:
        raise RuntimeError("this version of Dagster has no place to end the ticks of sensors")

    def end_ticks(workspace: Any) -> None:
        # What only a daemon has imported.
        from dagster._core.remote_representation.code_location import (  # noqa: PLC0415
            GrpcServerCodeLocation,
        )

        for entry in workspace.create_request_context().get_code_location_entries().values():
            if isinstance(entry.code_location, GrpcServerCodeLocation):
                with suppress(DagsterUserCodeUnreachableError):
                    entry.code_location.client.ping(_END_TICKS)

    def leave(self: Any, *exception: Any) -> Any:
        self._daemon_shutdown_event.set()  # no tick begins
        # A code server that hangs must not hold it up.
        workspace = self._workspace_process_context
        threading.Thread(target=end_ticks, args=(workspace,), daemon=True).start()
        return plain(self, *exception)

    kind._unannounced, kind.__exit__ = plain, leave


def run_of_task(packed: Any) -> str:
    """Return the id of the run that a task of dagster-celery's launcher is for."""
    return unpack_value(packed, as_type=ExecuteRunArgs).run_id


def execute_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a run in this process; one that has begun or ended before is left alone."""
    # A third of a second for a process that executes none.
    from dagster._cli.api import _execute_run_command_body  # noqa: PLC0415

    _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)
