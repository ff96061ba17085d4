"""Whether a tick knows that nobody waits for it, in stand-ins for code server and daemon."""

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mmbot_pipelines.defs.shared import dagster_internals
from mmbot_pipelines.defs.shared.dagster_internals import (
    end_ticks_at_exit,
    follow_ticks,
    is_followed,
    is_tick_wanted,
    share_instance,
)

Seen = list[tuple[bool, bool]]


class Call:
    """The daemon's call, which ends when its connection does."""

    def __init__(self) -> None:
        self.active = True

    def is_active(self) -> bool:
        return self.active


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    class DagsterApiServer:
        def SyncExternalSensorExecution(self, tick: Callable[[], Any], _: Call) -> Any:
            return tick()

        def Ping(self, request: Any, _: object) -> str:
            return str(request.echo)

    module = SimpleNamespace(DagsterApiServer=DagsterApiServer)
    monkeypatch.setitem(sys.modules, "dagster._grpc.server", module)
    monkeypatch.setattr(dagster_internals._Ending, "at", float("-inf"))
    follow_ticks()
    follow_ticks()  # Dagster asks for the definitions several times
    return DagsterApiServer()


def state() -> tuple[bool, bool]:
    return is_followed(), is_tick_wanted()


def test_outside_of_a_tick_nothing_is_known() -> None:
    assert state() == (False, True)


def test_a_tick_is_wanted_while_its_daemon_waits(server: Any) -> None:
    assert server.SyncExternalSensorExecution(state, Call()) == (True, True)
    assert state() == (False, True)


def test_the_tick_of_a_killed_daemon_is_not_wanted(server: Any) -> None:
    call = Call()

    def tick() -> tuple[bool, bool]:
        call.active = False
        return state()

    assert server.SyncExternalSensorExecution(tick, call) == (True, False)


def test_when_a_daemon_stops_no_tick_is_wanted_for_seconds(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.Ping(SimpleNamespace(echo="health"), None) == "health"
    assert server.SyncExternalSensorExecution(state, Call()) == (True, True)
    server.Ping(SimpleNamespace(echo=dagster_internals._END_TICKS), None)
    assert server.SyncExternalSensorExecution(state, Call()) == (True, False)
    monkeypatch.setattr(dagster_internals, "_ENDING_SECONDS", 0.0)  # of the next daemon
    assert server.SyncExternalSensorExecution(state, Call()) == (True, True)


def test_a_daemon_that_stops_tells_its_code_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    pinged = threading.Event()

    class Location:
        client = SimpleNamespace(
            ping=lambda echo: echo == dagster_internals._END_TICKS and pinged.set()
        )

    class DagsterDaemonController:
        def __init__(self) -> None:
            entries = {"mmbot": SimpleNamespace(code_location=Location())}
            request = SimpleNamespace(get_code_location_entries=lambda: entries)
            self._workspace_process_context = SimpleNamespace(
                create_request_context=lambda: request
            )
            self._daemon_shutdown_event = threading.Event()

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            assert self._daemon_shutdown_event.is_set()
            assert pinged.wait(120)

    module = SimpleNamespace(DagsterDaemonController=DagsterDaemonController)
    monkeypatch.setitem(sys.modules, "dagster._daemon.controller", module)
    monkeypatch.setattr(
        "dagster._core.remote_representation.code_location.GrpcServerCodeLocation", Location
    )
    end_ticks_at_exit()
    end_ticks_at_exit()  # the storage is opened several times
    with DagsterDaemonController():
        assert not pinged.is_set()


def test_ticks_share_one_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Context:
        """A tick's context, whose instance Dagster opens anew."""

        _instance: object = None

        def __init__(self, ref: str | None) -> None:
            self._instance_ref = ref

        @property
        def instance(self) -> object:
            assert self._instance is not None, "Dagster would open one for this tick"
            return self._instance

    def open_instance(ref: str) -> str:
        opened.append(ref)
        return f"instance of {ref}"

    dagster = SimpleNamespace(
        SensorEvaluationContext=Context, DagsterInstance=SimpleNamespace(from_ref=open_instance)
    )
    monkeypatch.setattr(dagster_internals, "dg", dagster)
    monkeypatch.setattr(dagster_internals, "cast", lambda _, value: value)
    monkeypatch.setattr(dagster_internals._Opened, "ref", None)
    monkeypatch.setitem(sys.modules, "dagster._grpc.server", SimpleNamespace())
    share_instance()
    share_instance()
    assert [Context("a").instance for _ in range(3)] == ["instance of a"] * 3
    assert Context("b").instance == "instance of b"
    assert opened == ["a", "b"]
