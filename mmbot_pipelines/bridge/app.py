"""The bridge with everything plugged in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.bridge.ports import Orders, Origin, Registry
from mmbot_pipelines.core.outbox import Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator decided, for the steps."""

    limits: Limits
    max_attempts: int
    backoff_seconds: float
    dry_run: bool  # decide, but neither sign nor send


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """The ports and rules that every step works with."""

    orders: Orders
    origins: Mapping[str, Origin]
    registry: Registry
    chain: Chain
    rules: Rules
    clock: Callable[[], datetime]  # UTC
    draw: Callable[[], float]  # in [0, 1): the backoff's jitter
