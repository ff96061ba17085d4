"""Measure, judge, and change the safety states: at every tick, and after every failure.

Which failures count towards a halt is decided by who can cause them. A stranger can set
orders whose recipient refuses money, in the simulation or only when the transfer is mined:
the order is parked, and it must not count, or anybody could halt us for the price of a few
orders. What such reverts cost in an hour throttles, and only that. What reverts otherwise,
loses its nonce, contradicts the chain, or is a claim that fails, is our own fault or our own
money: it counts. A proof that fails does not: one block of L1 that the prover cannot prove fails
all orders paid in it, and strangers choose how many these are; each is claimed again, and parked
when nothing helps. An order that the escrow contradicts is parked and does not count: one node
that invents orders could halt us by it. Outages are no fault of an order and never count; neither
does an empty wallet, which has its own floor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER, BalanceMark, Finished
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import ConcurrentUpdate, Failure
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.readings import (
    ChainLag,
    DatabaseLatency,
    ExposureReading,
    FailureReading,
    RevertedGas,
    SafetyReading,
    WalletBalance,
    find_breaches,
)
from mmbot_pipelines.core.safety import (
    GLOBAL,
    Breach,
    ScopeState,
    State,
    is_recorded,
    next_scope_state,
    require_scope,
    state_of,
)

COUNTED = (
    (TRANSFER, "Reverted"),
    (TRANSFER, "NonceTaken"),
    (TRANSFER, "WrongChain"),
    (REPAY, "Reverted"),
    (REPAY, "NonceTaken"),
    (REPAY, "ClaimRefused"),
    (REPAY, "WrongChain"),
    ("settle", "Undelivered"),  # the claim's message, on its way to the L2
)

# What halts at once needs a person, and one answer of a node may be wrong: with one URL there is
# no other to ask. So the cause must be met again this much later; until then an order waits, and
# a scope is THROTTLED.
_CONFIRMED_AFTER = timedelta(seconds=5)
_ANSWERED = ("balance", "lag")  # causes that a node's answer makes, not our own store

_WINDOW = timedelta(minutes=10)  # of the failure rate
_HOUR = timedelta(hours=1)  # of the gas that reverts cost
_NEWEST = 200  # steps that are looked at


def counts(fault: Fault) -> bool:
    """Return whether a failure counts towards a halt."""
    return (fault.step, fault.kind) in COUNTED


def guard(bridge: Bridge, run: Run) -> list[ScopeState]:
    """Take all readings and change the states as they ask; return those not NORMAL.

    Raises:
        StoreUnavailable: nothing can be judged, and nothing is sent either.
    """
    asked = bridge.clock()
    scope_states = bridge.store.safety.scope_states()
    took = (bridge.clock() - asked).total_seconds()
    readings = [
        DatabaseLatency(scope=GLOBAL, seconds=took),
        ExposureReading(scope=GLOBAL, out=bridge.store.orders.exposure()),
        _gas_lost(bridge),
        *_failures(bridge, scope_states),
        *_chains(bridge, scope_states),
    ]
    _apply(bridge, run, scope_states, readings, complete=True)
    return [s for s in bridge.store.safety.scope_states() if s.state is not State.NORMAL]


def guard_failures(bridge: Bridge, run: Run) -> None:
    """Judge the failures alone, right after one: a halt does not wait for the next tick."""
    try:
        scope_states = bridge.store.safety.scope_states()
        readings: list[SafetyReading] = [_gas_lost(bridge), *_failures(bridge, scope_states)]
        _apply(bridge, run, scope_states, readings, complete=False)
    except Failure as e:
        run.log(f"safety: not judged now, {e}; the next tick does it")


def met_again(order: Order, reason: str, at: datetime) -> bool:
    """Return whether an order that meets a cause has been waiting for it since an earlier look.

    reason: that orders wait with because of it.
    """
    since = order.waiting_since
    return order.reason == reason and since is not None and at - since >= _CONFIRMED_AFTER


def halt_now(bridge: Bridge, run: Run, failure: Failure, scope: str = GLOBAL) -> None:
    """Halt a scope for a cause that all its orders share; nothing where it is halted already."""
    before, now = state_of(bridge.store.safety.scope_states(), scope), bridge.clock()
    cause = type(failure).__name__
    breach = Breach(scope=scope, state=State.HALTED, cause=cause, why=f"{cause}: {failure}")
    after = next_scope_state(before, [breach], at=now, complete=False)
    if after is None:
        return
    try:
        with bridge.store.begin() as uow:
            uow.safety.change(before, after, at=now)
        run.log(f"safety: {after.summary}")
    except ConcurrentUpdate:
        run.log("safety: changed by somebody else just now; the next order that fails halts")


def halt(bridge: Bridge, scope: str, *, by: str, reason: str) -> ScopeState:
    """Send no new transfer from now on, by a person's word.

    Raises:
        InvalidDecision: the name or the reason is missing, or there is no such scope.
    """
    scope, now = require_scope(scope, bridge.origins), bridge.clock()
    with bridge.store.begin() as uow:
        return safety.halt(uow.safety, scope, by=by, reason=reason, at=now)


def resume(bridge: Bridge, scope: str, *, by: str, reason: str) -> ScopeState:
    """Send transfers again, by a person's word.

    Raises:
        InvalidDecision: the name or the reason is missing, there is no such scope, or it is NORMAL.
    """
    scope, now = require_scope(scope, bridge.origins), bridge.clock()
    with bridge.store.begin() as uow:
        return safety.resume(uow.safety, scope, by=by, reason=reason, at=now)


def _apply(
    bridge: Bridge,
    run: Run,
    scope_states: Sequence[ScopeState],
    readings: Sequence[SafetyReading],
    *,
    complete: bool,
) -> None:
    throttled = frozenset(s.scope for s in scope_states if s.state is State.THROTTLED)
    breaches = find_breaches(readings, bridge.rules.thresholds, throttled)
    for scope in (GLOBAL, *bridge.origins):
        before, now = state_of(scope_states, scope), bridge.clock()
        own = [_met_twice(breach, before, now) for breach in breaches if breach.scope == scope]
        after = next_scope_state(before, own, at=now, complete=complete)
        if after is None:
            continue
        try:
            with bridge.store.begin() as uow:
                uow.safety.change(before, after, at=now)
        except ConcurrentUpdate:
            continue  # somebody else has judged; the next tick sees what is left to do
        if is_recorded(before, after):
            run.log(f"safety: {after.summary}")


def _met_twice(breach: Breach, before: ScopeState, at: datetime) -> Breach:
    """Return the trip, which throttles where a node's answer would halt at the first look."""
    since = before.since if breach.cause in before.causes else None
    if breach.cause not in _ANSWERED or (since is not None and at - since >= _CONFIRMED_AFTER):
        return breach
    return replace(breach, state=State.THROTTLED)


def _gas_lost(bridge: Bridge) -> RevertedGas:
    lost = bridge.accounts.gas_lost(since=bridge.clock() - _HOUR)
    return RevertedGas(scope=GLOBAL, lost=lost)


def _failures(bridge: Bridge, scope_states: Sequence[ScopeState]) -> Iterator[FailureReading]:
    """Count failures over everything, and of each origin where there are several.

    When everything is to be halted, no origin needs to be as well.
    """
    resumed, limit = (
        state_of(scope_states, GLOBAL).resumed_at,
        bridge.rules.thresholds.halt_after_failures,
    )
    newest = bridge.accounts.finished(COUNTED, since=resumed, max_count=max(limit, _NEWEST))
    window = bridge.clock() - _WINDOW
    everything = _counted(GLOBAL, newest, window)
    yield everything
    if len(bridge.origins) == 1 or everything.in_a_row >= limit:
        return
    for origin in bridge.origins:
        since = state_of(scope_states, origin).resumed_at
        own = [f for f in newest if f.key.startswith(f"{origin}:")]
        yield _counted(origin, [f for f in own if since is None or f.at > since], window)


def _counted(scope: str, newest: Sequence[Finished], window: datetime) -> FailureReading:
    in_a_row = next((i for i, f in enumerate(newest) if not f.failed), len(newest))
    recent = [f for f in newest if f.at > window]
    failed = sum(f.failed for f in recent)
    return FailureReading(scope=scope, in_a_row=in_a_row, failed=failed, finished=len(recent))


def _chains(bridge: Bridge, scope_states: Sequence[ScopeState]) -> Iterator[SafetyReading]:
    """Ask each chain for its newest block, and the wallet's chain for its balance."""
    silent = set()
    for scope, newest in bridge.newest.items():
        try:
            lag = (bridge.clock() - newest()).total_seconds()
            yield ChainLag(scope=scope, lag=max(0.0, lag))
        except Failure as e:
            yield ChainLag(scope=scope, lag=None, trouble=str(e))
            silent.add(scope)
    floor = bridge.rules.thresholds.min_balance
    for lane in bridge.lanes if floor is not None and GLOBAL not in silent else []:
        try:
            yield read_wallet_balance(lane, floor or Wei(0), state_of(scope_states, GLOBAL))
        except Failure:
            continue  # unknown is not under the floor; who pays asks for itself


def read_wallet_balance(bridge: Bridge, floor: Wei, scope_state: ScopeState) -> WalletBalance:
    """Measure the bridge's wallet, and what is missing in it by no transaction of ours.

    Above the floor whatever is there is taken as it is: only a fall under the floor is judged.
    scope_state: of everything; what a person has seen and resumed after is explained by it.

    Raises:
        Failure: the chain or the database could not be asked.
    """
    chain, accounts, now = bridge.chain, bridge.accounts, bridge.clock()
    mark = accounts.balance_mark(chain.chain_id, chain.wallet)
    account = chain.account()
    seen, resumed = BalanceMark(account=account, at=now), scope_state.resumed_at
    known = mark is not None and not (resumed is not None and mark.at <= resumed)
    missing = 0
    # A nonce that has fallen is a reorg: what was explained is not there any more.
    if mark is not None and known and account.nonce >= mark.account.nonce:
        first, end = mark.account.nonce, account.nonce
        spent = accounts.spent(chain.chain_id, chain.wallet, first=first, end=end)
        if spent is None:
            return WalletBalance(scope=GLOBAL, wallet=chain.wallet, balance=account.balance)
        missing = mark.account.balance - spent - account.balance
    if missing > 0 and account.balance < floor and not _is_reorged(bridge, mark):
        return WalletBalance(
            scope=GLOBAL, wallet=chain.wallet, balance=account.balance, missing=Wei(missing)
        )
    if mark is None or mark.account != account or not known:
        accounts.mark_balance(chain.chain_id, chain.wallet, seen)
    return WalletBalance(scope=GLOBAL, wallet=chain.wallet, balance=account.balance)


def _is_reorged(bridge: Bridge, mark: BalanceMark | None) -> bool:
    block = mark.account.block if mark is not None else None
    return block is not None and not bridge.chain.has_block(block)
