"""Look at everything that an alert can be about."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.order_stats import LongWait, OrderStats, Shortage
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.sending.nonces import is_impossible
from mmbot_pipelines.bridge.sending.signing import BalanceFloorReached
from mmbot_pipelines.core.daemons import HEARTBEAT_TIMEOUT, Daemon, Daemons, concurrent_daemons
from mmbot_pipelines.core.delegation import AccountCode, Delegation
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, RpcUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Transaction, by_wallet
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

_WITHOUT_BATCHES = (AccountCode.NONE, AccountCode.MISSING)

_NONCE_LOSS_ALERT_FOR = timedelta(
    days=1
)  # how long a nonce that was taken from us is worth an alert

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSnapshot:
    """What the store and L1 answer about a wallet of ours."""

    address: Address
    balance: Wei | None  # None where the chain does not answer
    foreign_nonce: int | None  # mined for the wallet, never given out by us
    lost_nonces: Sequence[int]  # given out by us, used by somebody else
    nonces_known: bool  # whether the chain returned its nonce
    impossible_nonce: int | None  # a count of the wallet's transactions that cannot be
    foreign_code: str | None  # in one line, where it runs other code than the batch contract's
    no_batches: str | None  # in one line, where MMBOT_BATCH asks for batches that it cannot make
    code_known: bool  # whether the chain returned its code
    accepted: bool | None  # by the registry; None: unknown. Of a single wallet each payment asks


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
    wallets: Sequence[WalletSnapshot]  # on L1, that sign
    long_waits: Sequence[LongWait]
    shortage: Shortage  # orders that wait for ETH in them
    # of each wallet, the first attempt of what is in no block for longest
    oldest_in_flight: Sequence[Transaction]
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
    lanes = bridge.lanes
    pool = ThreadPoolExecutor(len(probes) + 4 * len(lanes) + 1)
    try:
        heads = {name: pool.submit(probe_chain) for name, probe_chain in probes.items()}
        asked = [_ask(pool, lane) for lane in lanes]
        silent = {name: why for name, head in heads.items() if (why := _silence(head))}
        accepts = pool.submit(_accepted, bridge, lanes)
        answers = [_WalletAnswers(*map(_answer, probes)) for probes in asked]
        accepted = _answer(accepts) or [None] * len(lanes)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    wallets = [
        _wallet(lane, known, takes, records, since=now - _NONCE_LOSS_ALERT_FOR)
        for lane, known, takes in zip(lanes, answers, accepted, strict=True)
    ]
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
        wallets=wallets,
        long_waits=records.long_waits(
            before=now - timedelta(seconds=bridge.rules.undelivered_after_seconds),
            max_orders=_MAX_WAITING,
        ),
        shortage=records.shortage(
            [InsufficientFunds.reason, BalanceFloorReached.reason], max_orders=_MAX_SHORT
        ),
        oldest_in_flight=[
            min(rows, key=lambda row: row.stored_at)
            for rows in by_wallet(bridge.store.outbox.in_flight()).values()
        ],
        daemons=concurrent_daemons(daemons.alive_since(now - HEARTBEAT_TIMEOUT)),
        no_worker=bridge.workers.fault() if bridge.workers is not None else None,
    )


class _WalletAnswers(NamedTuple):
    """What L1 answered about a wallet; None: nothing."""

    balance: Wei | None
    mined: int | None  # transactions
    pending: int | None  # transactions, with those that wait
    code: Delegation | None


def _ask(pool: ThreadPoolExecutor, lane: Bridge) -> "list[Future[Any]]":
    chain, account_code = lane.chain, lane.account_code or _no_code
    return [
        pool.submit(chain.balance),
        pool.submit(lambda: chain.nonce(pending=False)),
        pool.submit(lambda: chain.nonce(pending=True)),
        pool.submit(account_code, chain.wallet),
    ]


def _no_code(account: Address) -> Delegation:
    return Delegation(account=account, code=AccountCode.NONE)


def _accepted(bridge: Bridge, lanes: Sequence[Bridge]) -> Sequence[bool | None]:
    if len(lanes) == 1:
        return [None]
    return bridge.registry.accepts([lane.chain.wallet for lane in lanes])


def _wallet(
    lane: Bridge,
    known: _WalletAnswers,
    accepted: bool | None,
    records: OrderStats,
    *,
    since: datetime,
) -> WalletSnapshot:
    chain, code = lane.chain, known.code
    has_batches = lane.batch_contract is None or code is None or code.code not in _WITHOUT_BATCHES
    highest = records.highest_nonce(chain.chain_id, chain.wallet)
    mined, pending, ours = known.mined, known.pending, 0 if highest is None else highest + 1
    nonces_known = mined is not None and pending is not None
    impossible = nonces_known and is_impossible(pending or 0, mined=mined or 0, ours=ours)
    return WalletSnapshot(
        address=chain.wallet,
        balance=known.balance,
        foreign_nonce=mined - 1
        if mined is not None and highest is not None and mined > ours
        else None,
        lost_nonces=records.nonces_lost(chain.chain_id, chain.wallet, since=since),
        nonces_known=nonces_known,
        impossible_nonce=pending if impossible else None,
        foreign_code=code.summary
        if code is not None and code.code is AccountCode.FOREIGN
        else None,
        no_batches=None if has_batches or code is None else code.summary,
        code_known=code is not None,
        accepted=accepted,
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
