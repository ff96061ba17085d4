"""The bridge with everything plugged in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mmbot_pipelines.bridge.confirmations import ConfirmationTier
from mmbot_pipelines.bridge.policy import Batching, Caps, Limits
from mmbot_pipelines.bridge.poll_schedule import PollSchedule
from mmbot_pipelines.bridge.ports.accounts import Accounts
from mmbot_pipelines.bridge.ports.chains import Origin, Registry
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.delegation import BatchContract, Delegation
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.notifications import NoNotifications, Notifications
from mmbot_pipelines.core.outbox import Chain
from mmbot_pipelines.core.readings import SafetyThresholds
from mmbot_pipelines.core.retry import Rebroadcasts
from mmbot_pipelines.core.workers import Workers

_NOTHING = NoNotifications()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator decided, for the steps."""

    limits: Limits
    max_attempts: int
    backoff_seconds: float
    dry_run: bool  # decide, but neither sign nor send
    claim_with_transfer: bool = False  # at the nonce behind it, so that one block has both
    batching: Batching | None = None  # of claims; None: each order is claimed alone
    confirmations: tuple[ConfirmationTier, ...] = ()
    wait_for_price_seconds: float = 86_400.0  # after which an order is dropped as too dear
    stuck_after_seconds: float = 60.0  # from when on an undecided transaction is replaced
    l1_finality_blocks: int = 64  # how many blocks of L1 are checked for reorgs
    undelivered_after_seconds: float = 3600.0  # after which a person may have it claimed again
    caps: Caps = field(default_factory=Caps)
    thresholds: SafetyThresholds = field(default_factory=SafetyThresholds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """The ports and rules that every step works with."""

    store: BridgeStore
    accounts: Accounts
    origins: Mapping[str, Origin]
    registry: Registry
    chain: Chain  # L1, with the wallet that a step works for: the first, but in `lanes`
    rules: Rules
    clock: Callable[[], datetime]  # UTC
    draw: Callable[[], float]  # in [0, 1): the backoff's jitter
    wallets: tuple[Chain, ...] = ()  # L1 with each wallet that signs; empty: `chain` alone
    # L1 with a wallet that is none of them any more, so that its key is not there
    keyless: Callable[[Address], Chain] | None = None
    # by scope, the time of a chain's newest block, UTC; it raises when nobody answers
    newest: Mapping[str, Callable[[], datetime]] = field(default_factory=dict)
    notifications: Mapping[str, Notifications] = field(default_factory=dict)  # by scope
    # None: every call is a transaction of its own
    batch_contract: BatchContract | None = None
    account_code: Callable[[Address], Delegation] | None = None  # that an account on L1 runs now
    workers: Workers | None = None  # None: each run starts a process of its own
    explorers: Mapping[str, str] = field(default_factory=dict)  # by scope, URLs for people
    rebroadcasts: Rebroadcasts = field(default_factory=Rebroadcasts)
    poll_schedules: dict[str, PollSchedule] = field(default_factory=dict)

    @property
    def lanes(self) -> list["Bridge"]:
        """Return the bridge once for each wallet that signs, with that wallet's `chain`."""
        return [replace(self, chain=chain, wallets=self._wallets) for chain in self._wallets]

    def with_wallet(self, wallet: Address) -> "Bridge":
        """Return the bridge with a wallet's `chain`; no step may sign for one without its key."""
        chain = next((chain for chain in self._wallets if chain.wallet == wallet), None)
        if chain is None:
            chain = self.keyless(wallet) if self.keyless is not None else self.chain
        return replace(self, chain=chain, wallets=self._wallets)

    def has_key(self, wallet: Address) -> bool:
        """Return whether transactions can be signed for a wallet."""
        return any(chain.wallet == wallet for chain in self._wallets)

    @property
    def _wallets(self) -> tuple[Chain, ...]:
        return self.wallets or (self.chain,)

    def announced(self, scope: str) -> Notifications:
        """Return what is announced of a chain."""
        return self.notifications.get(scope, _NOTHING)

    def poll_schedule(self, origin: str) -> PollSchedule:
        """Return when the origin's orders on their way were asked for, by this process."""
        return self.poll_schedules.setdefault(origin, PollSchedule())
