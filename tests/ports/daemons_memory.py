"""The port `Daemons` in memory."""

from dataclasses import replace
from datetime import datetime

from mmbot_pipelines.core.daemons import Daemon


class DaemonsMemory:
    def __init__(self) -> None:
        self._known: dict[str, Daemon] = {}

    def record_heartbeat(self, name: str, *, at: datetime) -> None:
        known = self._known.get(name, Daemon(name=name, first_at=at, last_at=at))
        self._known[name] = replace(known, last_at=max(known.last_at, at))

    def alive_since(self, at: datetime) -> list[Daemon]:
        found = [d for d in self._known.values() if d.last_at >= at]
        return sorted(found, key=lambda d: (d.first_at, d.name))
