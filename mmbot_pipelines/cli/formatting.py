"""Times and troubles of an order, as an operator reads them."""

from datetime import UTC, datetime

from mmbot_pipelines.bridge.order import Order


def failure_status(order: Order, now: datetime) -> str:
    """Say whether an order waits for a person, or when it is tried again."""
    if order.is_parked:
        return "parked"
    if order.failed and order.next_attempt_at is not None:
        wait = (order.next_attempt_at - now).total_seconds()
        return f"failed, again in {format_duration(wait)}" if wait > 0 else "failed, again now"
    return ""


def format_duration(seconds: float) -> str:
    """Say a length of time in its largest unit: "3 min"."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def format_utc(at: datetime) -> str:
    """Write a point in time in UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
