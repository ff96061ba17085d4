"""Get our money back: claim what was paid, follow the claim, and see the escrow pay.

A claim may be made again, for the escrow pays only once; but each costs money, so it is
made again only when the one before is known to be lost, or when a person asks.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claim_cost import ClaimCost, unprofitable
from mmbot_pipelines.bridge.claims.batches import batch_size, plan_claims
from mmbot_pipelines.bridge.claims.lost import give_up
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.fill import by_origin
from mmbot_pipelines.bridge.guard import halt_now
from mmbot_pipelines.bridge.orders.escrow_errors import (
    MessageMissing,
    PaidElsewhere,
    is_paid_to_other_wallet,
)
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.poll_schedule import PAGE, PollSchedule
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.chains import Settlement, Task
from mmbot_pipelines.bridge.reorg.l2 import blocks_of, still_in_chain
from mmbot_pipelines.bridge.reverts import check_market_maker, store_claim_reverts
from mmbot_pipelines.bridge.sending.batches import slice_size
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.bridge.sending.submit import submit
from mmbot_pipelines.bridge.sending.wallets import ready_lanes
from mmbot_pipelines.bridge.transitions import change
from mmbot_pipelines.core import concurrency, failpoints
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, TxState

_CLAIMED = {TxState.MINED: Fact.MINED, TxState.STORED: Fact.SENT}
_BY_PREFERENCE = [*_CLAIMED, *(state for state in TxState if state not in _CLAIMED)]


def repay(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Claim the locked money of these orders, whatever the limits are by now.

    Raises:
        OrdersFailed: some orders failed; the others were sent.
    """
    work = Work(bridge, run, "repay")
    orders = work.due(keys, [Status.FULFILLED])
    for origin, group in by_origin(orders):
        size = batch_size(work, origin)
        claim = partial(_claim, work, origin, size)
        work.in_batches(origin, group, claim, size=size if size > 1 else slice_size(bridge))
    work.finish()


def _claim(work: Work, origin: str, size: int, orders: list[Order]) -> None:
    chain, l2 = work.bridge.chain, work.bridge.origins[origin]
    if _is_left(work.bridge, origin):
        for order in orders:
            work.run.log(f"{order.key}: dry run, no proof of its payment is asked for")
        return
    with concurrency.questions() as ask:
        settled = ask.submit(l2.settled, orders)
        blocks = ask.submit(blocks_of, l2, orders)
        market = ask.submit(chain.fees)
    orders = _settle(work, orders, settled.result())
    if orders:
        orders = _resume_claimed(work, still_in_chain(work, origin, orders, blocks.result()))
    if not orders:
        return
    fees = market.result()
    # Any wallet may claim: the message's price is little beside the gas that it is compared by.
    work.send_from(ready_lanes(work.bridge, [Wei(0)] * len(orders), fees))
    plan = plan_claims(work, origin, orders, size, fees)
    submit(work, plan.together, fees, origin=origin)
    if plan.alone:
        _claim_each(work, origin, plan.alone, fees)


def _is_left(bridge: Bridge, origin: str) -> bool:
    """Return whether claims are left alone: a prover costs money, and shows proofs by itself."""
    return bridge.rules.dry_run and not bridge.origins[origin].claim_gas


def _claim_each(work: Work, origin: str, orders: Sequence[Order], fees: Fees) -> None:
    chain, l2 = work.bridge.chain, work.bridge.origins[origin]
    with concurrency.questions() as ask:
        begun = ask.submit(l2.claims, orders, fees)
        balance = ask.submit(chain.balance)
    calls: list[tuple[Order, Call]] = []
    for order, claim in zip(orders, begun.result(), strict=True):
        if isinstance(claim, Call) and (loss := unprofitable(order, claim.value)):
            work.fail(order, loss)
        elif isinstance(claim, Call):
            calls.append((order, claim))
        elif isinstance(claim, Failure):
            work.fail(order, claim)
        else:
            _store_task(work, order, claim)
    if not calls:
        return
    simulated = chain.simulate([call for _, call in calls], fees, balance.result())
    gas = check_market_maker(work, simulated)
    requests: list[SubmitRequest] = []
    foreseen: list[tuple[Order, Failure]] = []
    for (order, call), estimate in zip(calls, gas, strict=True):
        if isinstance(estimate, Failure):
            foreseen.append((order, estimate))
        elif loss := unprofitable(order, ClaimCost(estimate, call.value).at(fees.expected)):
            work.fail(order, loss)
        else:
            requests.append(SubmitRequest(order=order, call=call, gas=estimate, reserve=Wei(0)))
    submit(work, requests, fees, origin=origin)
    store_claim_reverts(work, foreseen)


def _resume_claimed(work: Work, orders: Sequence[Order]) -> list[Order]:
    """Let orders wait for claims that stayed in the lane while their transfer was in no block.

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
                work.run.log(f"{order.key}: claimed already in {claim.hash}")
        else:
            why = f"its claim {claim.hash} is {claim.state}"
            retried = work.advance(order, Fact.LOST, reason=why)
            unclaimed += [retried] if retried is not None else []
    return unclaimed


def _claim_of(work: Work, order: Order) -> Transaction | None:
    if order.claim_tx is None:
        return None
    rows = [
        row
        for row in work.bridge.store.outbox.of(order.key)
        if row.serves(order.key, REPAY, order.attempt)
    ]
    return min(rows, key=lambda row: _BY_PREFERENCE.index(row.state), default=None)


def _store_task(work: Work, order: Order, task: Task) -> None:
    # Should we die before this is stored, the same task is given again, which is harmless.
    if work.advance(order, Fact.SENT, ref=task.ref):
        work.run.log(f"{order.key}: repay begun, {task.ref}")


def settle(bridge: Bridge, origin: str, run: Run) -> list[str]:
    """Complete the orders that the escrow has paid us for; return their keys.

    The others are taken as far as their claims are known to have come.

    Raises:
        Failure: the origin, or who works on a claim, could not be asked.
    """
    work = Work(bridge, run, "settle")
    poll_schedule = bridge.poll_schedule(origin)
    claimed = [o for o in _claimed(bridge, origin, poll_schedule) if not is_paid_to_other_wallet(o)]
    due = poll_schedule.due(claimed, bridge.clock())
    left = _settle(work, due, bridge.origins[origin].settled(due))
    _follow(work, origin, left)
    return [o.key for o in due if o not in left]


def _claimed(bridge: Bridge, origin: str, poll_schedule: PollSchedule) -> list[Order]:
    """Return the newest orders whose claim is on its way, and the next ones of the others.

    However many there are, a look reads two pages: the second one moves on through all of them.
    """
    newest = bridge.store.orders.claimed(origin, newest=True, max_orders=PAGE)
    if len(newest) < PAGE:
        return newest[::-1]
    page = bridge.store.orders.claimed(origin, after=poll_schedule.reached, max_orders=PAGE)
    poll_schedule.reached = (page[-1].changed_at, page[-1].number) if len(page) == PAGE else None
    return list({order.key: order for order in [*page, *newest[::-1]]}.values())


def claim_again(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Give up, on a person's request, the claims that have not arrived for long.

    Raises:
        OrdersFailed: the escrow could not be asked whether it has paid.
    """
    work = Work(bridge, run, "repay")
    for origin, group in by_origin(o for o in bridge.store.orders.get(keys) if o.is_claimed):
        work.in_batches(origin, group, partial(_claim_again, work, origin))
    work.finish()


def _claim_again(work: Work, origin: str, orders: list[Order]) -> None:
    patience = work.bridge.rules.undelivered_after_seconds
    for order in _settle(work, orders, work.bridge.origins[origin].settled(orders)):
        age = (work.bridge.clock() - order.changed_at).total_seconds()
        if age <= patience:
            work.run.log(f"{order.key}: claimed {age:.0f} s ago, not again before {patience} s")
        elif order.reason is not None:
            # What it waits for is known, and another proof would not change it.
            work.run.log(f"{order.key}: not claimed again, {order.reason}")
        else:
            why = f"claimed again by hand: nothing arrived in {age:.0f} s"
            work.advance(order, Fact.UNDELIVERED, reason=why)


def _settle(
    work: Work, orders: Sequence[Order], settled: Sequence[Settlement | Failure | None]
) -> list[Order]:
    """Complete what the escrow has paid; return the others that may still be paid."""
    left = []
    for order, seen in zip(orders, settled, strict=True):
        if isinstance(seen, Settlement):
            failpoints.failpoint(failpoints.Point.SETTLEMENT_SEEN)
            if work.advance(order, Fact.SETTLED, tx=seen.tx, block=seen.block, refund=seen.refund):
                paid = format_ether(order.amount + order.fee)
                work.run.log(
                    f"{order.key}: completed, the escrow paid us {paid} in "
                    f"{seen.tx}{_refund_text(seen)}"
                )
        elif isinstance(seen, PaidElsewhere):
            work.fail(order, seen)
        else:
            left.append(order)
    return left


def _refund_text(seen: Settlement) -> str:
    return f"; {format_ether(seen.refund)} of its message came back" if seen.refund else ""


def _follow(work: Work, origin: str, orders: Sequence[Order]) -> None:
    """Take claims on by what is known of their way."""
    if not orders or _is_left(work.bridge, origin):
        return
    progress = work.bridge.origins[origin].progress(orders)
    lost: list[tuple[Order, Failure]] = []
    for order, seen in zip(orders, progress, strict=True):
        if isinstance(seen.lost, MessageMissing):
            # Before the order is set back: should we die here, it is seen again.
            halt_now(work.bridge, work.run, seen.lost, origin)
        if seen.lost is not None:
            lost.append((order, seen.lost))
        elif seen.proven_in is not None and order.status is Status.PROVING:
            if work.advance(order, Fact.PROVEN, tx=seen.proven_in):
                work.run.log(f"{order.key}: proven, the proof was submitted in {seen.proven_in}")
        elif seen.proven_in is not None and seen.proven_in != order.claim_tx:
            again = replace(order, claim_tx=seen.proven_in, reason=None)
            _store(work, again, order, f"its proof was resubmitted in {seen.proven_in}")
        elif seen.ref is not None and seen.ref != order.claim_ref:
            known = replace(order, claim_ref=seen.ref, reason=None, waiting_since=None)
            _store(work, known, order, f"its claim is {seen.ref}")
        elif seen.waits is not None:
            work.wait(order, seen.waits)
    give_up(work, lost)


def _store(work: Work, after: Order, before: Order, what: str) -> None:
    if change(work.bridge, work.run, before, after):
        work.run.log(f"{before.key}: {what}")
