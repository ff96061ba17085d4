"""What every channel keeps: run on the one in memory, and on Apprise with a local sink."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from mmbot_pipelines.adapters.alerts.apprise import AppriseChannel
from mmbot_pipelines.core.alerts import Channel, Notification, NotSent, Severity
from tests.adapters.alerts.sink import Sink
from tests.ports.channel_memory import ChannelMemory

NOTICE = Notification(
    severity=Severity.HIGH, title="[HIGH] parked", text="why\nTo do: look", is_resolved=False
)


class Ends(Protocol):
    """A channel, and what is at its other end."""

    channel: Channel

    def down(self, down: bool) -> None: ...

    def received(self) -> list[tuple[str, str]]: ...


@dataclass
class Memory:
    channel: ChannelMemory

    def down(self, down: bool) -> None:
        self.channel.down = down

    def received(self) -> list[tuple[str, str]]:
        return [(n.title, n.text) for n in self.channel.taken]


@dataclass
class Http:
    channel: AppriseChannel
    sink: Sink

    def down(self, down: bool) -> None:
        self.sink.status = 503 if down else 200

    def received(self) -> list[tuple[str, str]]:
        return [(n["title"], n["message"]) for n in self.sink.received]


@pytest.fixture(params=["memory", "apprise"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    if request.param == "memory":
        yield Memory(ChannelMemory())
        return
    with Sink() as sink:
        yield Http(AppriseChannel(sink.url), sink)


def test_a_notice_arrives_as_it_is(ends: Ends) -> None:
    ends.channel.send(NOTICE)
    assert ends.received() == [("[HIGH] parked", "why\nTo do: look")]


def test_what_is_not_taken_is_reported(ends: Ends) -> None:
    ends.down(True)
    with pytest.raises(NotSent):
        ends.channel.send(NOTICE)
    ends.down(False)
    ends.channel.send(NOTICE)
    assert len(ends.received()) == 1


def test_the_name_is_short_and_lasts(ends: Ends) -> None:
    name = ends.channel.name
    ends.channel.send(NOTICE)
    assert 0 < len(name) < 40
    assert ends.channel.name == name
