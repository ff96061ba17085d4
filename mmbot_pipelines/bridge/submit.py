"""How a step's transactions go out: stored with the order's step first, then broadcast."""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mmbot_pipelines.bridge.admission import Admission, RunLimits, Wait, log_waits
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claims_behind import ClaimBehind
from mmbot_pipelines.bridge.failures import BATCH_SIZE, Work
from mmbot_pipelines.bridge.journal import Run
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.nonces import next_nonce
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork
from mmbot_pipelines.bridge.transitions import record, record_error
from mmbot_pipelines.core import concurrency, failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import ConcurrentUpdate, InsufficientFunds, Waits
from mmbot_pipelines.core.money import Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import Call, Fees, Part, Transaction, max_total_cost
from mmbot_pipelines.core.safety import StatesChanged
from mmbot_pipelines.core.unit_of_work import Lane

# How long the wallet's lane is held for signing, at most, beside the last signature.
_MAX_LANE_SECONDS = 1.0


class BalanceFloorReached(Waits):
    """A transfer would take the wallet under its floor: what is there is kept for claims."""

    reason = "waiting: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A transaction of the wallet before it is signed."""

    subject: str
    purpose: str
    attempt: int
    nonce: int
    call: Call
    gas: Gas
    fees: Fees
    batch: tuple[Part, ...] = ()


def in_flight(bridge: Bridge) -> list[Transaction]:
    """List the wallet's undecided transactions, lowest nonce first."""
    wallet = bridge.chain.wallet
    return [row for row in bridge.store.outbox.in_flight() if row.wallet == wallet]


@contextmanager
def hold_lane(
    bridge: Bridge, since: Sequence[Transaction], balance: Wei
) -> Iterator[tuple[BridgeUnitOfWork, Lane, Wei]]:
    """Hold the wallet's lane in a unit of work; yield both, and what the wallet has free, in wei.

    What is in flight may take the rest of the balance. It may be less than nothing.
    since: what was in flight before the balance was read: some of it may be mined and decided
        until the lane is ours, and is missing there and in the balance.
    """
    chain = bridge.chain
    with bridge.store.begin() as uow:
        lane = uow.outbox.lock_lane(chain.chain_id, chain.wallet)
        rows = {row.hash: row for row in [*since, *lane.in_flight()]}
        yield uow, lane, Wei(balance - max_total_cost(rows.values()))


def sign(bridge: Bridge, unsigned: Unsigned, *, bump: int = 0) -> Transaction:
    """Sign a transaction; nothing is stored or sent yet.

    bump: how many of ours came before it at its nonce.
    """
    chain = bridge.chain
    signed = chain.sign(unsigned.call, nonce=unsigned.nonce, gas=unsigned.gas, fees=unsigned.fees)
    return Transaction(
        subject=unsigned.subject,
        purpose=unsigned.purpose,
        attempt=unsigned.attempt,
        bump=bump,
        chain_id=chain.chain_id,
        wallet=chain.wallet,
        nonce=unsigned.nonce,
        hash=signed.hash,
        raw=signed.raw,
        call=unsigned.call,
        gas=unsigned.gas,
        fees=unsigned.fees,
        stored_at=bridge.clock(),
        batch=unsigned.batch,
    )


def broadcast(bridge: Bridge, run: Run, stored: Sequence[Transaction]) -> list[Transaction]:
    """Broadcast stored transactions; record errors of those not taken, return the others."""
    results = bridge.chain.broadcast([row.raw for row in stored]) if stored else []
    taken = []
    for row, failure in zip(stored, results, strict=True):
        if failure is None:
            taken.append(row)
            continue
        kind = type(failure).__name__
        for part in row.parts:
            fault = Fault(subject=part.subject, step="broadcast", kind=kind, message=str(failure))
            record_error(bridge, run, fault)
        run.log(
            f"{row.subject}: {row.purpose} {row.hash} with nonce {row.nonce} stored, not yet taken "
            f"by a node ({failure}); it is sent again"
        )
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """What is to be sent for one order: one transaction, or a transfer and its claim."""

    order: Order
    call: Call
    gas: Gas
    reserve: Wei  # to be left in the wallet for what must follow
    claim_cost: Wei | None = None  # what the claim is expected to cost, where this pays for it
    claim: ClaimBehind | None = None  # at the next nonce: mined with the transfer, or not at all


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
    stored: list[Transaction] = field(default_factory=list)
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
    chain, since = bridge.chain, in_flight(bridge)
    with concurrency.questions() as ask:
        pending = ask.submit(chain.nonce, pending=True)
        balance = ask.submit(chain.balance)
    chain_nonce = pending.result()
    try:
        with hold_lane(bridge, since, balance.result()) as (uow, lane, free):
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
    for row in broadcast(bridge, work.run, batch.stored):
        work.run.log(
            f"{row.subject}: {row.purpose} {row.hash} with nonce {row.nonce} sent to "
            f"{row.call.to}, value {format_ether(row.call.value)}"
        )
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
    undecided = {(p.subject, p.purpose) for t in lane.in_flight() for p in t.parts}
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
            # Whatever its status is: two of them at two nonces could both be mined.
            run.log(f"{order.key}: an earlier {work.step} is undecided, no other is signed")
            continue
        if admission and (wait := admission.wait(order)):
            batch.waiting.append((order, wait))
            continue
        behind = _behind(request, order, undecided)
        reserve = request.reserve
        if behind is not None:
            reserve = max(reserve, Wei(behind.call.value + behind.gas * fees.ceiling))
        needed = request.call.value + request.gas * fees.ceiling + reserve
        if needed > free - (floor or 0):
            batch.unfunded.append((order, _insufficient(needed, free, floor or Wei(0))))
            continue
        unsigned = Unsigned(
            subject=order.key,
            purpose=work.step,
            attempt=order.attempt,
            nonce=nonce,
            call=request.call,
            gas=request.gas,
            fees=fees,
        )
        transaction = sign(bridge, unsigned)
        signed = [transaction]
        if behind is not None:
            claim = replace(
                unsigned, purpose=REPAY, nonce=nonce + 1, call=behind.call, gas=behind.gas
            )
            signed.append(sign(bridge, claim))
        after = _sent(order, request, transaction)
        at = transaction.stored_at
        try:
            with uow.savepoint():  # another order's lost race takes nothing of this part back
                for row in signed:
                    lane.add(row)
                record(uow, order, after, run_id=run.id, at=at, tx=transaction.hash)
        except ConcurrentUpdate as e:
            run.log(f"{e}: not sent")
            continue
        batch.stored += signed
        undecided.add((order.key, work.step))
        if admission:
            admission.take(order)
        free, nonce = Wei(free - needed), nonce + len(signed)


def _behind(
    request: SubmitRequest, order: Order, undecided: Container[tuple[str, str]]
) -> ClaimBehind | None:
    """Return the claim to be signed with an order's transfer; only the order's first one is."""
    if order.claim_tx is not None or (order.key, REPAY) in undecided:
        return None
    return request.claim


def _sent(order: Order, request: SubmitRequest, transaction: Transaction) -> Order:
    sent = order.after(Fact.SENT, at=transaction.stored_at, tx=transaction.hash)
    return sent if request.claim_cost is None else replace(sent, claim_cost=request.claim_cost)


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
