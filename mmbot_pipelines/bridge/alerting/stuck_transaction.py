"""The alert for a transaction that no block takes. Pure."""

from collections.abc import Iterator

from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot
from mmbot_pipelines.core.alerts import Alert, Severity

# How long a transaction may be in no block; MmbotTransactionStuck of Prometheus has the same.
_STUCK_SECONDS = 900


def alerts(facts: BridgeSnapshot) -> Iterator[Alert]:
    """Yield one alert for the transaction that is in no block for longest, if that is too long."""
    row = facts.oldest_in_flight
    if row is not None and (facts.at - row.stored_at).total_seconds() > _STUCK_SECONDS:
        yield Alert.to_act(
            "wallet-stuck",
            Severity.HIGH,
            "a transaction is stuck",
            f"The {row.purpose} of {row.subject} with nonce {row.nonce} is in no block since "
            f"{row.stored_at:%Y-%m-%d %H:%M:%S} UTC; all later ones of the wallet wait for it.",
            f"see what was tried: `mmbot orders show {row.parts[0].subject}`, and the runs of "
            "`replace_stuck_transactions`, which raises its fee or cancels it by itself.",
        )
