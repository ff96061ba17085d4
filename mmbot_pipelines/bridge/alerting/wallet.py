"""Which alerts of the wallets fire: their ETH and their nonces. Pure.

Where there are several, each has its own alerts, and only what they lack together has one.
"""

from collections.abc import Iterator

from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot, WalletSnapshot
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.money import Wei, format_ether

FLOOR = "wallet-floor"
SHORT = "wallet-short"
SHARED = "wallet-shared"
NONCE = "wallet-nonce"
CODE = "wallet-code"
BATCHES = "wallet-batches"
REFUSED = "wallet-refused"

_SHOWN_NONCES = 10


def alerts(facts: BridgeSnapshot, floor: Wei) -> Iterator[Alert]:
    """Yield the wallets' alerts; floor in wei, 0: none."""
    yield from _funds(facts, floor)
    for wallet in facts.wallets:
        yield from _shared(facts, wallet)
        yield from _impossible_nonce(facts, wallet)
        yield from _foreign_code(facts, wallet)
        yield from _no_batches(facts, wallet)
        yield from _refused(facts, wallet)


def unknown(facts: BridgeSnapshot) -> Iterator[str]:
    """Yield the keys of alerts of which it is not known whether they fire."""
    for wallet in facts.wallets:
        if wallet.balance is None:
            yield _key(FLOOR, facts, wallet)
        if wallet.accepted is None and len(facts.wallets) > 1:
            yield _key(REFUSED, facts, wallet)
        if not wallet.nonces_known:
            yield from (_key(kind, facts, wallet) for kind in (SHARED, NONCE))
        if not wallet.code_known:
            yield from (_key(kind, facts, wallet) for kind in (CODE, BATCHES))


def _key(kind: str, facts: BridgeSnapshot, wallet: WalletSnapshot) -> str:
    return kind if len(facts.wallets) == 1 else f"{kind} {wallet.address}"


def _which(facts: BridgeSnapshot, wallet: WalletSnapshot) -> str:
    return "" if len(facts.wallets) == 1 else f" {wallet.address}"


def _foreign_code(facts: BridgeSnapshot, wallet: WalletSnapshot) -> Iterator[Alert]:
    if wallet.foreign_code is not None:
        yield Alert.to_act(
            _key(CODE, facts, wallet),
            Severity.CRITICAL,
            f"the wallet{_which(facts, wallet)} runs somebody else's code",
            f"{wallet.foreign_code}. That code can move all its money.",
            "run `mmbot halt` and `mmbot delegation remove`; if you did not set it, the key is "
            "stolen: move the money, and use a new key.",
        )


def _no_batches(facts: BridgeSnapshot, wallet: WalletSnapshot) -> Iterator[Alert]:
    if wallet.no_batches is not None:
        yield Alert.to_act(
            _key(BATCHES, facts, wallet),
            Severity.HIGH,
            f"MMBOT_BATCH is eip7702, but the wallet{_which(facts, wallet)} makes no batches",
            f"{wallet.no_batches}. Each order has transactions of its own: nothing is lost, but "
            "each costs more gas.",
            "run `mmbot halt`, `mmbot delegation set` and `mmbot resume`, or set MMBOT_BATCH to "
            "off.",
        )


def _funds(facts: BridgeSnapshot, floor: Wei) -> Iterator[Alert]:
    """Yield an alert for each wallet below its floor, else one for orders that wait for ETH."""
    waiting = facts.shortage
    count = "1 order waits" if waiting.orders == 1 else f"{waiting.orders} orders wait"
    count = f"at least {count}" if waiting.more else count
    wait = f" {count} for ETH, healthy." if waiting.orders else ""
    below = [w for w in facts.wallets if w.balance is not None and w.balance < floor]
    for wallet in below:
        has = wallet.balance or Wei(0)
        others = len(below) < len(facts.wallets)
        yield Alert.to_act(
            _key(FLOOR, facts, wallet),
            Severity.HIGH if others else Severity.CRITICAL,
            f"the wallet{_which(facts, wallet)} is below its floor",
            f"It has {format_ether(has)}; the floor is {format_ether(floor)}. No transfer is "
            f"sent{' from it' if others else ''}.{wait}",
            f"{_send(facts, wallet, floor)}, or lower MMBOT_MIN_BALANCE_WEI; orders go on by "
            "themselves then.",
        )
    if waiting.orders and not below:
        richest = max(facts.wallets, key=lambda w: w.balance or 0)
        held = " ".join(
            f"{'It' if len(facts.wallets) == 1 else w.address} has {format_ether(w.balance)}."
            for w in facts.wallets
            if w.balance is not None
        )
        several = len(facts.wallets) > 1
        yield Alert.to_act(
            SHORT,
            Severity.HIGH,
            "the wallets have too little ETH" if several else "the wallet has too little ETH",
            f"{held}{wait}".strip(),
            f"{_send(facts, richest, floor)}; orders go on by themselves then.",
        )


def _send(facts: BridgeSnapshot, wallet: WalletSnapshot, floor: Wei) -> str:
    missing = facts.shortage.needs + floor - (wallet.balance or 0)
    min_amount = f"at least {format_ether(missing)}" if missing > 0 else "ETH"
    return f"send {min_amount} to {wallet.address} on L1"


def _shared(facts: BridgeSnapshot, wallet: WalletSnapshot) -> Iterator[Alert]:
    seen = []
    if wallet.foreign_nonce is not None:
        seen.append(f"Nonce {wallet.foreign_nonce} is mined, which this bot never gave out.")
    if wallet.lost_nonces:
        shown = ", ".join(map(str, wallet.lost_nonces[-_SHOWN_NONCES:]))
        seen.append(f"Nonces of ours that others used within a day: {shown}.")
    if seen:
        yield Alert.to_act(
            _key(SHARED, facts, wallet),
            Severity.CRITICAL,
            f"another program uses the wallet{_which(facts, wallet)}",
            " ".join(seen),
            "if you restored a backup just now, it is this bot, which has forgotten: `mmbot halt` "
            "until it has found what it paid. Else stop the other program, or give the bot a "
            "wallet of its own; if you know of none, the key is stolen: move the money.",
        )


def _impossible_nonce(facts: BridgeSnapshot, wallet: WalletSnapshot) -> Iterator[Alert]:
    if wallet.impossible_nonce is not None:
        yield Alert.to_act(
            _key(NONCE, facts, wallet),
            Severity.HIGH,
            "a node of L1 counts transactions that cannot be",
            f"It counts {wallet.impossible_nonce} transactions of the wallet"
            f"{_which(facts, wallet)}, many more than are mined and than this bot ever signed. "
            "Nothing is signed on its word.",
            "take the node out of MMBOT_L1_RPC_URLS; if another program of yours has so many "
            "transactions waiting, stop it.",
        )


def _refused(facts: BridgeSnapshot, wallet: WalletSnapshot) -> Iterator[Alert]:
    if wallet.accepted is False:
        yield Alert.to_act(
            _key(REFUSED, facts, wallet),
            Severity.HIGH,
            f"the registry refuses the wallet{_which(facts, wallet)}",
            "It takes transfers and claims from its owner and its market maker alone; the other "
            "wallets go on.",
            "have the registry's owner make it one of them, or take it out of the settings once "
            "none of its transactions is in flight.",
        )
