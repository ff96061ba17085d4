"""Which alerts of the wallet fire: its ETH and its nonces. Pure."""

from collections.abc import Iterator

from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.money import Wei, format_ether

FLOOR = "wallet-floor"
SHORT = "wallet-short"
SHARED = "wallet-shared"
NONCE = "wallet-nonce"

_SHOWN_NONCES = 10


def alerts(facts: BridgeSnapshot, floor: Wei) -> Iterator[Alert]:
    """Yield the wallet's alerts; floor in wei, 0: none."""
    yield from _funds(facts, floor)
    yield from _shared(facts)
    yield from _impossible_nonce(facts)


def _funds(facts: BridgeSnapshot, floor: Wei) -> Iterator[Alert]:
    """Yield one alert for a wallet that has too little, however many orders wait for it."""
    waiting, has = facts.shortage, facts.balance
    count = "1 order waits" if waiting.orders == 1 else f"{waiting.orders} orders wait"
    count = f"at least {count}" if waiting.more else count
    wait = f" {count} for ETH, healthy." if waiting.orders else ""
    missing = waiting.needs + floor - (has or 0)
    min_amount = f"at least {format_ether(missing)}" if missing > 0 else "ETH"
    send = f"send {min_amount} to {facts.wallet} on L1"
    if has is not None and has < floor:
        yield Alert.to_act(
            FLOOR,
            Severity.CRITICAL,
            "the wallet is below its floor",
            f"It has {format_ether(has)}; the floor is {format_ether(floor)}. No transfer is "
            f"sent.{wait}",
            f"{send}, or lower MMBOT_MIN_BALANCE_WEI; orders go on by themselves then.",
        )
    elif waiting.orders:
        held = "" if has is None else f"It has {format_ether(has)}."
        yield Alert.to_act(
            SHORT,
            Severity.HIGH,
            "the wallet has too little ETH",
            f"{held}{wait}".strip(),
            f"{send}; orders go on by themselves then.",
        )


def _shared(facts: BridgeSnapshot) -> Iterator[Alert]:
    seen = []
    if facts.foreign_nonce is not None:
        seen.append(f"Nonce {facts.foreign_nonce} is mined, which this bot never gave out.")
    if facts.lost_nonces:
        shown = ", ".join(map(str, facts.lost_nonces[-_SHOWN_NONCES:]))
        seen.append(f"Nonces of ours that others used within a day: {shown}.")
    if seen:
        yield Alert.to_act(
            SHARED,
            Severity.CRITICAL,
            "another program uses the wallet",
            " ".join(seen),
            "stop the other program, or give the bot a wallet of its own; if you know of no "
            "other program, the key is stolen: move the money.",
        )


def _impossible_nonce(facts: BridgeSnapshot) -> Iterator[Alert]:
    if facts.impossible_nonce is not None:
        yield Alert.to_act(
            NONCE,
            Severity.HIGH,
            "a node of L1 counts transactions that cannot be",
            f"It counts {facts.impossible_nonce} transactions of the wallet, many more than are "
            "mined and than this bot ever signed. Nothing is signed on its word.",
            "take the node out of MMBOT_L1_RPC_URLS; if another program of yours has so many "
            "transactions waiting, stop it.",
        )
