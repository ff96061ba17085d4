"""Alerts for orders that wait, healthy, for long: one a reason, never one an order. Pure."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from mmbot_pipelines.bridge.ports.order_stats import LongWait
from mmbot_pipelines.bridge.sending.signing import BalanceFloorReached
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.errors import InsufficientFunds
from mmbot_pipelines.core.text import sanitized

# Reasons that have an alert of their own, as has what is HALTED.
_ALERTED = (InsufficientFunds.reason, BalanceFloorReached.reason)

# Some reasons hold words of other programs, so there may be as many as orders.
_MAX_NOTICES = 20


def notices(waits: Sequence[LongWait]) -> Iterator[Alert]:
    """Yield an alert for each of the most frequent reasons."""
    for wait in waits[:_MAX_NOTICES]:
        if wait.reason in _ALERTED or (wait.reason or "").endswith("is HALTED"):
            continue
        why = sanitized(wait.reason or "no reason is stored, see its errors")
        count = "1 order" if wait.orders == 1 else f"{wait.orders} orders"
        yield Alert.to_act(
            f"waiting {sha256(str(wait.reason).encode()).hexdigest()[:12]}",
            Severity.LOW,
            "orders wait for long",
            f"{count}, healthy: {why}. The oldest is {wait.oldest}, unchanged since "
            f"{wait.since:%Y-%m-%d %H:%M:%S} UTC.",
            f"see `mmbot orders show {wait.oldest}`; nothing, if you know the reason: they "
            "go on by themselves when it is gone.",
        )
