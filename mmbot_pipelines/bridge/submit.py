"""How a step's transactions go out: stored with the order's step first, then broadcast."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mmbot_pipelines.bridge.failures import BATCH_SIZE, Work, fault_of
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.limits import Admission, RunLimits, Wait, log_waits
from mmbot_pipelines.bridge.nonces import next_nonce
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork
from mmbot_pipelines.bridge.transitions import record, record_error
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import ConcurrentUpdate, InsufficientFunds, Waits
from mmbot_pipelines.core.money import Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, max_total_cost
from mmbot_pipelines.core.safety import StatesChanged
from mmbot_pipelines.core.unit_of_work import Lane

# How long the wallet's lane is held for signing, at most, beside the last signature.
_MAX_LANE_SECONDS = 1.0


class BalanceFloorReached(Waits):
    """A transfer would take the wallet under its floor: what is there is kept for claims."""

    reason = "waiting: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """One transaction to be sent for one order."""

    order: Order
    call: Call
    gas: Gas
    reserve: Wei  # to be left in the wallet for what must follow
    claim_cost: Wei | None = None  # what the claim is expected to cost, where this pays for it


def submit(
    work: Work,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    *,
    origin: str,
    run_limits: RunLimits | None = None,
) -> None:
    """Sign, store and broadcast one transaction per order, with consecutive nonces.

    run_limits: what it does not let pass waits; claims have none.

    Rows and steps are written in one database transaction. Should the process die
    before the broadcast, the receipts sensor finds that no node knows the row and
    sends the same bytes.

    Raises:
        NonceTooHigh: what nodes count of the wallet cannot be; nothing was signed.
    """
    left = list(requests)
    while left:
        left = left[_submit_batch(work, left[:BATCH_SIZE], fees, origin, run_limits) :]


@dataclass(slots=True)
class _Batch:
    """What became of the requests while the wallet's lane was held once."""

    done: int = 0  # requests
    stored: list[tuple[Order, Transaction]] = field(default_factory=list)
    unfunded: list[tuple[Order, Waits]] = field(default_factory=list)
    waiting: list[tuple[Order, Wait]] = field(default_factory=list)


def _submit_batch(
    work: Work,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    origin: str,
    run_limits: RunLimits | None,
) -> int:
    """Send the first of these requests, within one hold of the lane; return how many.

    However slow the signer is, others get the lane soon. A halt does not wait for it at all:
    what was signed while the states changed is thrown away, and decided again.
    """
    bridge, batch, sent = work.bridge, _Batch(), run_limits.sent if run_limits else 0
    chain = bridge.chain
    chain_nonce = chain.nonce(pending=True)
    # What is mined and decided until the lane is ours is missing there, and in the balance.
    since = [row for row in bridge.store.outbox.in_flight() if row.wallet == chain.wallet]
    balance = chain.balance()
    try:
        with bridge.store.begin() as uow:
            lane = uow.outbox.lock_lane(chain.chain_id, chain.wallet)
            rows = {row.hash: row for row in [*since, *lane.in_flight()]}
            free = Wei(balance - max_total_cost(rows.values()))
            admission = run_limits.open(uow, origin) if run_limits else None
            nonce = next_nonce(chain, lane, chain_nonce)
            _sign(work, batch, uow, lane, requests, fees, admission, free, nonce)
            if admission:
                admission.confirm()
    except StatesChanged as e:
        work.run.log(f"{e}: {len(batch.stored)} signed transactions are thrown away, none was sent")
        if run_limits:
            run_limits.sent = sent
        return 0
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    failpoints.failpoint(failpoints.Point(f"{work.step}-stored"))
    _broadcast(work, batch.stored)
    failpoints.failpoint(failpoints.Point(f"{work.step}-broadcast"))
    log_waits(work, batch.waiting)
    for order, failure in batch.unfunded:
        work.fail(order, failure)
    return batch.done


def _sign(
    work: Work,
    batch: _Batch,
    uow: BridgeUnitOfWork,
    lane: Lane,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    admission: Admission | None,
    free: Wei,
    nonce: int,
) -> None:
    """Sign and store in the lane, until all is done or it was held for long enough."""
    bridge, run, begun = work.bridge, work.run, work.bridge.clock()
    # Claims bring money back: they may use what the floor keeps from transfers.
    floor = bridge.rules.thresholds.min_balance if admission else None
    undecided = {(t.subject, t.purpose) for t in lane.in_flight()}
    held = {o.key: o for o in uow.orders.lock([r.order for r in requests])}
    for request in requests:
        if batch.stored and (bridge.clock() - begun).total_seconds() > _MAX_LANE_SECONDS:
            return
        batch.done += 1
        order = held.get(request.order.key)
        if order is None:
            run.log(f"{request.order.key}: order changed concurrently by another run; skipped")
            continue
        if (order.key, work.step) in undecided:
            # Whatever its status says: two of them at two nonces could both be mined.
            run.log(f"{order.key}: an earlier {work.step} is undecided, no other is signed")
            continue
        if admission and (wait := admission.wait(order)):
            batch.waiting.append((order, wait))
            continue
        needed = request.call.value + request.gas * fees.ceiling + request.reserve
        if needed > free - (floor or 0):
            batch.unfunded.append((order, _insufficient(needed, free, floor or Wei(0))))
            continue
        transaction = _signed(work, order, request, nonce, fees)
        after = _sent(order, request, transaction)
        at = transaction.stored_at
        try:
            with uow.savepoint():  # another order's lost race takes nothing of this part back
                lane.add(transaction)
                record(uow, order, after, run_id=run.id, at=at, tx=transaction.hash)
        except ConcurrentUpdate as e:
            run.log(f"{e}: not sent")
            continue
        batch.stored.append((after, transaction))
        undecided.add((order.key, work.step))
        if admission:
            admission.take(order)
        free, nonce = Wei(free - needed), nonce + 1


def _sent(order: Order, request: SubmitRequest, transaction: Transaction) -> Order:
    sent = order.after(Fact.SENT, at=transaction.stored_at, tx=transaction.hash)
    return sent if request.claim_cost is None else replace(sent, claim_cost=request.claim_cost)


def _signed(
    work: Work, order: Order, request: SubmitRequest, nonce: int, fees: Fees
) -> Transaction:
    chain = work.bridge.chain
    signed = chain.sign(request.call, nonce=nonce, gas=request.gas, fees=fees)
    return Transaction(
        subject=order.key,
        purpose=work.step,
        attempt=order.attempt,
        chain_id=chain.chain_id,
        wallet=chain.wallet,
        nonce=nonce,
        hash=signed.hash,
        raw=signed.raw,
        call=request.call,
        gas=request.gas,
        fees=fees,
        stored_at=work.bridge.clock(),
    )


def _broadcast(work: Work, stored: Sequence[tuple[Order, Transaction]]) -> None:
    results = work.bridge.chain.broadcast([t.raw for _, t in stored]) if stored else []
    for (order, transaction), failure in zip(stored, results, strict=True):
        line = f"{order.key}: {work.step} {transaction.hash} with nonce {transaction.nonce}"
        if failure is None:
            value = format_ether(transaction.call.value)
            work.run.log(f"{line} sent to {transaction.call.to}, value {value}")
        else:
            fault = fault_of(order, failure, "broadcast")
            record_error(work.bridge, work.run, fault)
            work.run.log(f"{line} stored, not yet taken by a node ({failure}); it is sent again")


def _insufficient(needed: int, free: int, floor: Wei) -> Waits:
    has = f"{format_ether(max(free, 0))} beside what is in flight"
    if needed <= free:
        return BalanceFloorReached(
            f"it needs {format_ether(needed)}, the wallet has {has}, and the floor is "
            f"{format_ether(floor)}"
        )
    return InsufficientFunds(
        f"the wallet needs {format_ether(needed)} and has {has}: send ETH to it"
    )
