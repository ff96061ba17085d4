"""Get our money back: claim what was paid, follow the claim, and see the escrow pay.

A claim may be made again, for the escrow pays only once; but each costs money, so it is
made again only when the one before is known to be lost, or when a person asks.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mmbot_pipelines.bridge.accounts import REPAY
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.authority import with_authority
from mmbot_pipelines.bridge.chain_ports import Settlement, Task
from mmbot_pipelines.bridge.escrow_faults import MessageMissing, PaidElsewhere, is_paid_elsewhere
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.fill import by_origin
from mmbot_pipelines.bridge.guard import halt_at_once
from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.pace import PAGE, Pace
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.bridge.refused import refused
from mmbot_pipelines.bridge.reorgs import standing
from mmbot_pipelines.bridge.sending import Request, send
from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import Failure, LostRace, Waits
from mmbot_pipelines.core.money import Wei, in_words
from mmbot_pipelines.core.outbox import Call, Transaction, TxState

_CLAIMED = {TxState.MINED: Fact.MINED, TxState.STORED: Fact.SENT}
_BEST = [*_CLAIMED, *(state for state in TxState if state not in _CLAIMED)]


class ClaimTooDear(Waits):
    """A claim's message and gas cost as much as the claim brings: prices must fall first."""

    reason = "waits: its claim would cost what it brings"


def repay(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Claim the locked money of these orders, whatever the limits say by now.

    Raises:
        OrdersFailed: some orders failed; the others were sent.
    """
    work = Work(bridge, run, "repay")
    orders = work.due(keys, [Status.FULFILLED])
    for origin, group in by_origin(orders):
        work.in_parts(origin, group, partial(_claim, work, origin))
    work.finish()


def _claim(work: Work, origin: str, orders: list[Order]) -> None:
    chain, l2 = work.bridge.chain, work.bridge.origins[origin]
    orders = _settle(work, origin, orders)
    orders = _take_up_claimed(work, standing(work, origin, orders))
    fees = chain.fees()
    begun = l2.claims(orders, fees)
    calls: list[tuple[Order, Call]] = []
    for order, claim in zip(orders, begun, strict=True):
        if isinstance(claim, Call) and (dear := _too_dear(order, claim.value)):
            work.fail(order, dear)
        elif isinstance(claim, Call):
            calls.append((order, claim))
        elif isinstance(claim, Failure):
            work.fail(order, claim)
        else:
            _keep_task(work, order, claim)
    gas = with_authority(work, chain.simulate([call for _, call in calls], fees))
    requests: list[Request] = []
    foreseen: list[tuple[Order, Failure]] = []
    for (order, call), estimate in zip(calls, gas, strict=True):
        if isinstance(estimate, Failure):
            foreseen.append((order, estimate))
        elif dear := _too_dear(order, Wei(call.value + estimate * fees.expected)):
            work.fail(order, dear)
        else:
            requests.append(Request(order=order, call=call, gas=estimate, reserve=Wei(0)))
    send(work, requests, fees, origin=origin)
    refused(work, foreseen)


def _too_dear(order: Order, cost: Wei) -> ClaimTooDear | None:
    """Return why a claim that costs this much, in wei, is not sent now; None: it is worth it."""
    brings = order.amount + order.fee
    if cost < brings:
        return None
    return ClaimTooDear(
        f"its message and gas cost {in_words(cost)} at the price of now, it brings "
        f"{in_words(brings)}"
    )


def _take_up_claimed(work: Work, orders: Sequence[Order]) -> list[Order]:
    """Let orders wait for claims that stayed in the lane while their transfer was unmined.

    A claim that was decided meanwhile is looked at by nobody else any more: what became of
    it is one step, and where it is of no use, a new attempt begins.
    """
    unclaimed = []
    for order in orders:
        claim = _claim_of(work, order)
        if claim is None:
            unclaimed.append(order)
        elif claim.state in _CLAIMED:
            if work.advance(order, _CLAIMED[claim.state], tx=claim.hash):
                work.run.say(f"{order.key}: claimed already in {claim.hash}")
        else:
            why = f"its claim {claim.hash} is {claim.state}"
            anew = work.advance(order, Fact.LOST, reason=why)
            unclaimed += [anew] if anew is not None else []
    return unclaimed


def _claim_of(work: Work, order: Order) -> Transaction | None:
    if order.claim_tx is None:
        return None
    rows = [
        row
        for row in work.bridge.orders.transactions(order.key)
        if row.purpose == REPAY and row.attempt == order.attempt
    ]
    return min(rows, key=lambda row: _BEST.index(row.state), default=None)


def _keep_task(work: Work, order: Order, task: Task) -> None:
    # Should we die before this is stored, the same task is given again, which is harmless.
    if work.advance(order, Fact.SENT, ref=task.ref):
        work.run.say(f"{order.key}: repay begun, {task.ref}")


def settle(bridge: Bridge, origin: str, run: Run) -> list[str]:
    """Complete the orders that the escrow has paid us for; return their keys.

    The others are taken as far as their claims are known to have come.

    Raises:
        Failure: the origin, or who works on a claim, could not be asked.
    """
    work = Work(bridge, run, "settle")
    pace = bridge.pace(origin)
    claimed = [o for o in _claimed(bridge, origin, pace) if not is_paid_elsewhere(o)]
    due = pace.due(claimed, bridge.clock())
    left = _settle(work, origin, due)
    _follow(work, origin, left)
    return [o.key for o in due if o not in left]


def _claimed(bridge: Bridge, origin: str, pace: Pace) -> list[Order]:
    """Return the newest orders whose claim is on its way, and the next ones of the others.

    However many there are, a look reads two pages: the second one moves on through all of them.
    """
    newest = bridge.orders.claimed(origin, newest=True, max_orders=PAGE)
    if len(newest) < PAGE:
        return newest[::-1]
    page = bridge.orders.claimed(origin, after=pace.reached, max_orders=PAGE)
    pace.reached = (page[-1].changed_at, page[-1].number) if len(page) == PAGE else None
    return list({order.key: order for order in [*page, *newest[::-1]]}.values())


def claim_again(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Give up, because a person says so, the claims that have not arrived for long.

    Raises:
        OrdersFailed: the escrow could not be asked whether it has paid.
    """
    work = Work(bridge, run, "repay")
    for origin, group in by_origin(o for o in bridge.orders.get(keys) if o.claimed):
        work.in_parts(origin, group, partial(_claim_again, work, origin))
    work.finish()


def _claim_again(work: Work, origin: str, orders: list[Order]) -> None:
    patience = work.bridge.rules.undelivered_after_seconds
    for order in _settle(work, origin, orders):
        age = (work.bridge.clock() - order.changed_at).total_seconds()
        if age <= patience:
            work.run.say(f"{order.key}: claimed {age:.0f} s ago, not again before {patience} s")
        elif order.reason is not None:
            # What it waits for is known, and another proof would not change it.
            work.run.say(f"{order.key}: not claimed again, {order.reason}")
        else:
            why = f"claimed again by hand: nothing arrived in {age:.0f} s"
            work.advance(order, Fact.UNDELIVERED, reason=why)


def _settle(work: Work, origin: str, orders: list[Order]) -> list[Order]:
    """Complete what the escrow has paid; return the others that may still be paid."""
    left = []
    for order, seen in zip(orders, work.bridge.origins[origin].settled(orders), strict=True):
        if isinstance(seen, Settlement):
            crash.here(crash.Point.SETTLEMENT_SEEN)
            if work.advance(order, Fact.SETTLED, tx=seen.tx, block=seen.block, refund=seen.refund):
                paid = in_words(order.amount + order.fee)
                work.run.say(
                    f"{order.key}: completed, the escrow paid us {paid} in {seen.tx}{_back(seen)}"
                )
        elif isinstance(seen, PaidElsewhere):
            work.fail(order, seen)
        else:
            left.append(order)
    return left


def _back(seen: Settlement) -> str:
    return f"; {in_words(seen.refund)} of its message came back" if seen.refund else ""


def _follow(work: Work, origin: str, orders: Sequence[Order]) -> None:
    """Take claims on by what is known of their way."""
    if not orders:
        return
    progress = work.bridge.origins[origin].progress(orders)
    for order, seen in zip(orders, progress, strict=True):
        if isinstance(seen.lost, MessageMissing):
            # Before the order is set back: should we die here, it is seen again.
            halt_at_once(work.bridge, work.run, seen.lost, origin)
        if seen.lost is not None:
            _give_up(work, order, seen.lost)
        elif seen.proven_in is not None and order.status is Status.PROVING:
            if work.advance(order, Fact.PROVEN, tx=seen.proven_in):
                work.run.say(f"{order.key}: proven, the escrow is told in {seen.proven_in}")
        elif seen.proven_in is not None and seen.proven_in != order.claim_tx:
            again = replace(order, claim_tx=seen.proven_in, reason=None)
            _keep(work, again, order, f"its proof is shown again in {seen.proven_in}")
        elif seen.ref is not None and seen.ref != order.claim_ref:
            known = replace(order, claim_ref=seen.ref, reason=None, waiting_since=None)
            _keep(work, known, order, f"its claim is {seen.ref}")
        elif seen.waits is not None:
            work.wait(order, seen.waits)


def _give_up(work: Work, order: Order, failure: Failure) -> None:
    """Take an order whose claim is lost back to the claim, as a failure."""
    undelivered = order.after(Fact.UNDELIVERED, at=work.bridge.clock())
    # A claim that is mined counts as progress, so failures would never add up over claims.
    lost = order.lost_claims
    work.set_back(order, replace(undelivered, failures=lost, lost_claims=lost + 1), failure)


def _keep(work: Work, after: Order, before: Order, what: str) -> None:
    try:
        work.bridge.orders.change(before, after, run_id=work.run.id, at=work.bridge.clock())
        work.run.say(f"{before.key}: {what}")
    except LostRace:
        work.run.say(f"{before.key}: another run has taken it further")
