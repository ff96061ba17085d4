"""Events that a worker writes several at a time."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from mmbot_pipelines.defs import event_buffer
from mmbot_pipelines.defs.event_buffer import EventBuffer

AWAY = OperationalError("INSERT", {}, Exception("the database is away"))


def event(name: str, *, job: bool = False, step_failure: bool = False) -> Any:
    """Return a log line, or an event of a job or a failed step."""
    kind = SimpleNamespace(is_job_event=job, is_step_failure=step_failure)
    is_line = not (job or step_failure)
    return SimpleNamespace(
        name=name, run_id="run", dagster_event=None if is_line else kind, dagster_event_type=None
    )


class Written:
    """The storage: what it took, by statement; it refuses what `fails` names."""

    def __init__(self) -> None:
        self.statements: list[list[str]] = []
        self.fails: dict[str, Exception] = {}
        self.changed = threading.Event()

    def write(self, events: Sequence[Any]) -> None:
        for each in events:
            if each.name in self.fails:
                raise self.fails[each.name]
        self.statements.append([each.name for each in events])
        self.changed.set()


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def buffer(written: Written, monkeypatch: pytest.MonkeyPatch) -> EventBuffer:
    monkeypatch.setattr(event_buffer, "_MAX_SECONDS", 600.0)
    monkeypatch.setattr(event_buffer, "is_of_an_asset", lambda each: each.name == "asset")
    return EventBuffer(written.write, lambda each: written.write([each]))


@pytest.mark.parametrize("awaited", [{"job": True}, {"step_failure": True}])
def test_what_others_act_on_is_written_at_once_behind_what_came_before(
    buffer: EventBuffer, written: Written, awaited: dict[str, bool]
) -> None:
    for name in "ab":
        buffer.store(event(name))
    assert written.statements == []
    buffer.store(event("c", **awaited))
    assert written.statements == [["a", "b", "c"]]
    buffer.flush()
    assert len(written.statements) == 1


def test_an_assets_event_keeps_its_place(buffer: EventBuffer, written: Written) -> None:
    for name in ("a", "asset", "b"):
        buffer.store(event(name))
    buffer.flush()
    assert written.statements == [["a"], ["asset"], ["b"]]


def test_many_events_do_not_wait(buffer: EventBuffer, written: Written) -> None:
    for number in range(event_buffer._MAX_EVENTS + 1):
        buffer.store(event(str(number)))
    assert [len(names) for names in written.statements] == [event_buffer._MAX_EVENTS]


def test_an_event_is_written_soon_though_none_follows(
    buffer: EventBuffer, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_buffer, "_MAX_SECONDS", 0.01)
    buffer.store(event("a"))
    assert written.changed.wait(30)
    assert written.statements == [["a"]]


def test_an_event_that_cannot_be_written_takes_no_other_with_it(
    buffer: EventBuffer, written: Written
) -> None:
    written.fails = {"bad": ValueError("it cannot be written")}
    for name in ("a", "bad", "b"):
        buffer.store(event(name))
    buffer.store(event("end", job=True))
    assert written.statements == [["a"], ["b"], ["end"]]
    with pytest.raises(ValueError, match="it cannot be written"):
        buffer.store(event("bad", job=True))


def test_a_run_learns_that_the_database_is_away(buffer: EventBuffer, written: Written) -> None:
    written.fails = {"end": AWAY}
    buffer.store(event("a"))
    with pytest.raises(OperationalError):
        buffer.store(event("end", job=True))
    written.fails = {}
    buffer.store(event("next", job=True))
    assert written.statements == [["next"]]
