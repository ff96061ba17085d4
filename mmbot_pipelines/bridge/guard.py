"""Measure, judge, and change the safety states: at every tick, and after every failure.

Which failures count towards a halt is decided by who can cause them. A stranger can set
orders whose recipient refuses money, in the simulation or only when the transfer is mined:
the order is parked, and it must not count, or anybody could halt us for the price of a few
orders. What such reverts cost in an hour throttles, and only that. What reverts otherwise,
loses its nonce, contradicts the chain, or is a claim that fails, is our own fault or our own
money: it counts. A proof that fails does not: one block of L1 that the prover cannot prove fails
all orders paid in it, and strangers choose how many these are; each is claimed again, and parked
when nothing helps. An order that the escrow contradicts is parked and does not count: one node
that invents orders could halt us by it. Outages say nothing about orders and never count; neither
does an empty wallet, which has its own floor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.accounts import REPAY, TRANSFER, Finished
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.balance import read_funds
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Fault, Run
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.errors import Failure, LostRace
from mmbot_pipelines.core.readings import (
    Failures,
    GasLost,
    Outlay,
    Reach,
    Reading,
    Store,
    judge,
)
from mmbot_pipelines.core.safety import GLOBAL, Standing, State, Trip, judged, known, of, tellable

COUNTED = (
    (TRANSFER, "Reverted"),
    (TRANSFER, "Lost"),
    (TRANSFER, "WrongChain"),
    (REPAY, "Reverted"),
    (REPAY, "Lost"),
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
    """Tell whether a failure counts towards a halt."""
    return (fault.step, fault.kind) in COUNTED


def guard(bridge: Bridge, run: Run) -> list[Standing]:
    """Take all readings and change the states as they ask; return those not NORMAL.

    Raises:
        StoreUnavailable: nothing can be judged, and nothing is sent either.
    """
    asked = bridge.clock()
    standings = bridge.safety.standings()
    took = (bridge.clock() - asked).total_seconds()
    readings = [
        Store(scope=GLOBAL, seconds=took),
        Outlay(scope=GLOBAL, out=bridge.accounts.exposure()),
        _gas_lost(bridge),
        *_failures(bridge, standings),
        *_chains(bridge, standings),
    ]
    _apply(bridge, run, standings, readings, complete=True)
    return [s for s in bridge.safety.standings() if s.state is not State.NORMAL]


def guard_failures(bridge: Bridge, run: Run) -> None:
    """Judge the failures alone, right after one: a halt does not wait for the next tick."""
    try:
        standings = bridge.safety.standings()
        readings: list[Reading] = [_gas_lost(bridge), *_failures(bridge, standings)]
        _apply(bridge, run, standings, readings, complete=False)
    except Failure as e:
        run.say(f"safety: not judged now, {e}; the next tick does it")


def met_again(order: Order, reason: str, at: datetime) -> bool:
    """Return whether an order that meets a cause has been waiting for it since an earlier look.

    reason: that orders wait with because of it.
    """
    since = order.waiting_since
    return order.reason == reason and since is not None and at - since >= _CONFIRMED_AFTER


def halt_at_once(bridge: Bridge, run: Run, failure: Failure, scope: str = GLOBAL) -> None:
    """Halt a scope for a cause that all its orders share; nothing where it is halted already."""
    before, now = of(bridge.safety.standings(), scope), bridge.clock()
    cause = type(failure).__name__
    trip = Trip(scope=scope, state=State.HALTED, cause=cause, why=f"{cause}: {failure}")
    after = judged(before, [trip], at=now, complete=False)
    if after is None:
        return
    try:
        bridge.safety.change(before, after, at=now)
        run.say(f"safety: {after.told}")
    except LostRace:
        run.say("safety: changed by somebody else just now; the next order that fails halts")


def halt(bridge: Bridge, scope: str, *, by: str, reason: str) -> Standing:
    """Send no new transfer from now on, by a person's word.

    Raises:
        NotDecided: the name or the reason is missing, or there is no such scope.
    """
    scope, now = known(scope, bridge.origins), bridge.clock()
    return safety.halt(bridge.safety, scope, by=by, reason=reason, at=now)


def resume(bridge: Bridge, scope: str, *, by: str, reason: str) -> Standing:
    """Send transfers again, by a person's word.

    Raises:
        NotDecided: the name or the reason is missing, there is no such scope, or it is NORMAL.
    """
    scope, now = known(scope, bridge.origins), bridge.clock()
    return safety.resume(bridge.safety, scope, by=by, reason=reason, at=now)


def _apply(
    bridge: Bridge,
    run: Run,
    standings: Sequence[Standing],
    readings: Sequence[Reading],
    *,
    complete: bool,
) -> None:
    throttled = frozenset(s.scope for s in standings if s.state is State.THROTTLED)
    trips = judge(readings, bridge.rules.thresholds, throttled)
    for scope in (GLOBAL, *bridge.origins):
        before, now = of(standings, scope), bridge.clock()
        own = [_met_twice(trip, before, now) for trip in trips if trip.scope == scope]
        after = judged(before, own, at=now, complete=complete)
        if after is None:
            continue
        try:
            bridge.safety.change(before, after, at=now)
        except LostRace:
            continue  # somebody else has judged; the next tick sees what is left to do
        if tellable(before, after):
            run.say(f"safety: {after.told}")


def _met_twice(trip: Trip, before: Standing, at: datetime) -> Trip:
    """Return the trip, which throttles where a node's answer would halt at the first look."""
    since = before.since if trip.cause in before.causes else None
    if trip.cause not in _ANSWERED or (since is not None and at - since >= _CONFIRMED_AFTER):
        return trip
    return replace(trip, state=State.THROTTLED)


def _gas_lost(bridge: Bridge) -> GasLost:
    lost = bridge.accounts.gas_lost(since=bridge.clock() - _HOUR)
    return GasLost(scope=GLOBAL, lost=lost)


def _failures(bridge: Bridge, standings: Sequence[Standing]) -> Iterator[Failures]:
    """Count failures over everything, and of each origin where there are several.

    When everything is to be halted, no origin needs to be as well.
    """
    resumed, limit = of(standings, GLOBAL).resumed_at, bridge.rules.thresholds.halt_after_failures
    newest = bridge.accounts.finished(COUNTED, since=resumed, most=max(limit, _NEWEST))
    window = bridge.clock() - _WINDOW
    everything = _counted(GLOBAL, newest, window)
    yield everything
    if len(bridge.origins) == 1 or everything.in_a_row >= limit:
        return
    for origin in bridge.origins:
        since = of(standings, origin).resumed_at
        own = [f for f in newest if f.key.startswith(f"{origin}:")]
        yield _counted(origin, [f for f in own if since is None or f.at > since], window)


def _counted(scope: str, newest: Sequence[Finished], window: datetime) -> Failures:
    in_a_row = next((i for i, f in enumerate(newest) if not f.failed), len(newest))
    recent = [f for f in newest if f.at > window]
    failed = sum(f.failed for f in recent)
    return Failures(scope=scope, in_a_row=in_a_row, failed=failed, finished=len(recent))


def _chains(bridge: Bridge, standings: Sequence[Standing]) -> Iterator[Reading]:
    """Ask each chain for its newest block, and the wallet's chain for its balance."""
    silent = set()
    for scope, newest in bridge.newest.items():
        try:
            lag = (bridge.clock() - newest()).total_seconds()
            yield Reach(scope=scope, lag=max(0.0, lag))
        except Failure as e:
            yield Reach(scope=scope, lag=None, trouble=str(e))
            silent.add(scope)
    floor = bridge.rules.thresholds.min_balance
    if floor is not None and GLOBAL not in silent:
        try:
            yield read_funds(bridge, floor, of(standings, GLOBAL))
        except Failure:
            return  # unknown is not under the floor; who pays asks for itself
