"""The alerts for transactions that no block takes. Pure."""

from collections.abc import Iterator

from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot
from mmbot_pipelines.core.alerts import Alert, Severity

# How long a transaction may be in no block; MmbotTransactionStuck of Prometheus has the same.
_STUCK_SECONDS = 900

_KEY = "wallet-stuck"


def alerts(facts: BridgeSnapshot) -> Iterator[Alert]:
    """Yield one alert a wallet for what is in no block for longest, if that is too long."""
    ours = [wallet.address for wallet in facts.wallets]
    for row in facts.oldest_in_flight:
        if (facts.at - row.stored_at).total_seconds() <= _STUCK_SECONDS:
            continue
        only, tried = ours == [row.wallet], f"`mmbot orders show {row.parts[0].subject}`"
        to_do = (
            f"see what was tried: {tried}, and the runs of `replace_stuck_transactions`, which "
            "raises its fee or cancels it by itself."
            if row.wallet in ours
            else f"name {row.wallet} with its key among the wallets again (MMBOT_L1_MORE_WALLETS): "
            f"without it nothing raises the fee or cancels; see {tried}."
        )
        yield Alert.to_act(
            _KEY if only else f"{_KEY} {row.wallet}",
            Severity.HIGH,
            "a transaction is stuck" if only else f"a transaction of {row.wallet} is stuck",
            f"The {row.purpose} of {row.subject} with nonce {row.nonce} is in no block since "
            f"{row.stored_at:%Y-%m-%d %H:%M:%S} UTC; all later ones of the wallet wait for it.",
            to_do,
        )
