"""Look at everything that an alert can be about."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.order_stats import LongWait, OrderStats, Shortage
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.sending.nonces import is_impossible
from mmbot_pipelines.bridge.sending.submit import BalanceFloorReached
from mmbot_pipelines.core.daemons import HEARTBEAT_TIMEOUT, Daemon, Daemons, concurrent_daemons
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, RpcUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Transaction
from mmbot_pipelines.core.safety import ScopeState, State

# Longer than a node may take, shorter than a sensor's tick: a hanging node is one that is down.
_PROBE_SECONDS = 20.0

# So many orders of one trouble are looked at, and may have an alert of their own: those that have
# had it for longest, for an alert that left the list for a newer one would be reported as over.
_MAX_UNPAID_PARKED = 50
_MAX_PAID_PARKED = 200
_MAX_CLAIMED = 200
_MAX_UNCLAIMED = 1_000
_MAX_SHORT = 1_000
_MAX_WAITING = 1_000  # in one state

_NONCE_LOSS_ALERT_FOR = timedelta(
    days=1
)  # how long a nonce that was taken from us is worth an alert

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSnapshot:
    """What the store and the chains answer at one time."""

    at: datetime  # UTC
    parked: Sequence[Order]  # the first that are PAID, and the first of the others
    parked_in_all: int
    claimed: Sequence[Order]  # PAID, not parked, their claim on its way: the longest unchanged
    unclaimed: Sequence[Order]  # the others of them: the longest unchanged
    more_owed: bool  # than these
    exposure: Wei
    scope_states: Sequence[ScopeState]  # safety states that are not NORMAL
    silent: Mapping[str, str]  # chains that no node answers for, and what was tried
    wallet: Address  # on L1
    long_waits: Sequence[LongWait]
    shortage: Shortage  # orders that wait for ETH in it
    balance: Wei | None  # of the L1 wallet; None where the chain does not answer
    foreign_nonce: int | None  # mined for the wallet, never given out by us
    lost_nonces: Sequence[int]  # given out by us, used by somebody else
    nonces_known: bool  # whether the chain returned its nonce
    oldest_in_flight: Transaction | None  # the first attempt of what is in no block for longest
    impossible_nonce: int | None  # a count of the wallet's transactions that cannot be
    daemons: Sequence[Daemon]  # that live beside another one
    no_worker: str | None  # why no run can start


def take_snapshot(bridge: Bridge, records: OrderStats, daemons: Daemons) -> BridgeSnapshot:
    """Read the store, and ask every chain once.

    Raises:
        StoreUnavailable: the database is away; nothing is known.
    """
    chain, now = bridge.chain, bridge.clock()
    probes: dict[str, Callable[[], object]] = {"L1": chain.head}
    for name, origin in bridge.origins.items():
        probes[name] = lambda origin=origin: origin.head(Cursor.LATEST)  # type: ignore[misc]
    # The chain first: what is sent in between must not look like somebody else's.
    pool = ThreadPoolExecutor(len(probes) + 3)
    try:
        heads = {name: pool.submit(probe_chain) for name, probe_chain in probes.items()}
        balance, mined = pool.submit(chain.balance), pool.submit(lambda: chain.nonce(pending=False))
        waiting = pool.submit(lambda: chain.nonce(pending=True))
        silent = {name: why for name, head in heads.items() if (why := _silence(head))}
        wallet_has, nonces, pending = _answer(balance), _answer(mined), _answer(waiting)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    highest = records.highest_nonce(chain.chain_id, chain.wallet)
    foreign = nonces is not None and highest is not None and nonces > highest + 1
    ours = 0 if highest is None else highest + 1
    known = pending is not None and nonces is not None
    impossible = known and is_impossible(pending or 0, mined=nonces or 0, ours=ours)
    parked = records.parked(max_paid=_MAX_PAID_PARKED, max_unpaid=_MAX_UNPAID_PARKED)
    claimed = records.owed(claimed=True, max_orders=_MAX_CLAIMED)
    unclaimed = records.owed(claimed=False, max_orders=_MAX_UNCLAIMED)
    return BridgeSnapshot(
        at=now,
        parked=[*parked.paid, *parked.unpaid],
        parked_in_all=parked.orders,
        claimed=claimed,
        unclaimed=unclaimed,
        more_owed=len(claimed) == _MAX_CLAIMED or len(unclaimed) == _MAX_UNCLAIMED,
        exposure=bridge.store.orders.exposure(),
        scope_states=[s for s in bridge.store.safety.scope_states() if s.state is not State.NORMAL],
        silent=silent,
        wallet=chain.wallet,
        long_waits=records.long_waits(
            before=now - timedelta(seconds=bridge.rules.undelivered_after_seconds),
            max_orders=_MAX_WAITING,
        ),
        shortage=records.shortage(
            [InsufficientFunds.reason, BalanceFloorReached.reason], max_orders=_MAX_SHORT
        ),
        balance=wallet_has,
        foreign_nonce=nonces - 1 if nonces is not None and foreign else None,
        lost_nonces=records.nonces_lost(
            chain.chain_id, chain.wallet, since=now - _NONCE_LOSS_ALERT_FOR
        ),
        nonces_known=known,
        oldest_in_flight=min(
            bridge.store.outbox.in_flight(), key=lambda row: row.stored_at, default=None
        ),
        impossible_nonce=pending if impossible else None,
        daemons=concurrent_daemons(daemons.alive_since(now - HEARTBEAT_TIMEOUT)),
        no_worker=bridge.workers.fault() if bridge.workers is not None else None,
    )


def _silence(head: "Future[object]") -> str | None:
    """Return why no node of a chain answered; None: one did, be it by an error."""
    try:
        head.result(_PROBE_SECONDS)
    except NoAnswer:
        return f"no answer within {_PROBE_SECONDS:.0f} seconds"
    except RpcUnavailable as e:
        return str(e)
    except Failure:
        return None
    return None


def _answer(probe: "Future[_T]") -> _T | None:
    try:
        return probe.result(_PROBE_SECONDS)
    except (NoAnswer, Failure):
        return None
