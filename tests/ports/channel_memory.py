"""The port `Channel` in memory."""

from dataclasses import dataclass, field

from mmbot_pipelines.core.alerts import Notification, NotSent


@dataclass
class ChannelMemory:
    """The port `Channel`: while `down`, it takes nothing."""

    name: str = "memory"
    down: bool = False
    tried: int = 0
    taken: list[Notification] = field(default_factory=list)

    def send(self, notice: Notification) -> None:
        self.tried += 1
        if self.down:
            raise NotSent("out of order")
        self.taken.append(notice)

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.taken]
