"""What is kept of an order's way: its changes, its errors, and the runs that made them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import TxHash


@dataclass(frozen=True, slots=True)
class Run:
    """The run or tick at work, and its log."""

    id: str
    log: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of one order."""

    before: Status | None
    after: Status
    at: datetime
    run_id: str
    tx: TxHash | None
    reason: str | None
