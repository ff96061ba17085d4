"""How a step's transactions go out: stored with the order's step first, then broadcast."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from mmbot_pipelines.bridge.failures import BATCH_SIZE, Work
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork
from mmbot_pipelines.bridge.sending.caps import Admission, RunLimits, Wait, log_waits
from mmbot_pipelines.bridge.sending.claims_behind import ClaimBehind
from mmbot_pipelines.bridge.sending.lane import Unsigned, broadcast, hold_lane, in_flight, sign
from mmbot_pipelines.bridge.sending.nonces import next_nonce
from mmbot_pipelines.bridge.transitions import CONCURRENTLY, Change, record_all
from mmbot_pipelines.core import concurrency, failpoints
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    Failure,
    InsufficientFunds,
    TryAgain,
    Waits,
)
from mmbot_pipelines.core.money import Gas, Wei, format_ether, shares
from mmbot_pipelines.core.outbox import Call, Fees, Part, Transaction
from mmbot_pipelines.core.safety import StatesChanged

# How long the wallet's lane is held for signing, at most, beside the last signature.
_MAX_LANE_SECONDS = 1.0


class BalanceFloorReached(Waits):
    """A transfer would take the wallet under its floor: what is there is kept for claims."""

    reason = "waiting: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """What is to be sent for one order: one transaction, or a transfer and its claim.

    Or the one claim of several orders.
    """

    order: Order
    others: tuple[Order, ...] = ()  # that the same transaction serves
    call: Call
    gas: Gas
    reserve: Wei  # to be left in the wallet for what must follow
    claim_cost: Wei | None = None  # what the claim is expected to cost, where this pays for it
    claim: ClaimBehind | None = None  # at the next nonce: mined with the transfer, or not at all

    @property
    def orders(self) -> tuple[Order, ...]:
        """Return all orders that it serves."""
        return (self.order, *self.others)

    @property
    def subject(self) -> str:
        """Name whom its transaction is for: the order, or the first of them and how many more."""
        return f"{self.order.key}+{len(self.others)}" if self.others else self.order.key

    def parts(self, purpose: str) -> tuple[Part, ...]:
        """Return what its transaction does for each order, where they are several."""
        if not self.others:
            return ()
        values = shares(self.call.value, len(self.orders))
        return tuple(
            Part(subject=order.key, purpose=purpose, attempt=order.attempt, value=value)
            for order, value in zip(self.orders, values, strict=True)
        )


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
    left, size = list(requests), BATCH_SIZE
    while left:
        try:
            left = left[_submit_batch(work, left[:size], fees, origin, run_limits) :]
        except ConcurrentUpdate as e:
            if size == 1:
                work.run.log(f"{e}: not sent")
                left = left[1:]
            size = 1  # one of them has a transaction already: the others go out without it


@dataclass(slots=True)
class _Batch:
    """What became of the requests while the wallet's lane was held once."""

    done: int = 0  # requests
    signed: list[Transaction] = field(default_factory=list)
    sent: list[Change] = field(default_factory=list)
    refused: list[tuple[Order, Failure]] = field(default_factory=list)
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

    Raises:
        ConcurrentUpdate: one of them has a transaction already; nothing was stored.
    """
    bridge, run, batch = work.bridge, work.run, _Batch()
    sent = run_limits.sent if run_limits else 0
    chain, since = bridge.chain, in_flight(bridge)
    with concurrency.questions() as ask:
        pending = ask.submit(chain.nonce, pending=True)
        balance = ask.submit(chain.balance)
    chain_nonce = pending.result()
    try:
        with hold_lane(bridge, since, balance.result()) as (uow, lane, free):
            admission = run_limits.open(uow, origin) if run_limits else None
            nonce = next_nonce(chain, lane, chain_nonce)
            _sign(work, batch, uow, requests, fees, admission, free, nonce)
            if batch.signed:
                failpoints.failpoint(failpoints.Point.SIGNED)
                lane.add(*batch.signed)
            record_all(uow, batch.sent, run_id=run.id, at=bridge.clock())
            if admission:
                admission.confirm()
    except (ConcurrentUpdate, StatesChanged) as e:
        if run_limits:
            run_limits.sent = sent
        if isinstance(e, ConcurrentUpdate):
            raise
        run.log(f"{e}: {len(batch.signed)} signed transactions are thrown away, none was sent")
        return 0
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    failpoints.failpoint(failpoints.Point(f"{work.step}-stored"))
    for row in broadcast(bridge, run, batch.signed):
        run.log(
            f"{row.subject}: {row.purpose} {row.hash} with nonce {row.nonce} sent to "
            f"{row.call.to}, value {format_ether(row.call.value)}"
        )
    failpoints.failpoint(failpoints.Point(f"{work.step}-broadcast"))
    log_waits(work, batch.waiting)
    for order, failure in batch.refused:
        work.fail(order, failure)
    return batch.done


def _sign(
    work: Work,
    batch: _Batch,
    uow: BridgeUnitOfWork,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    admission: Admission | None,
    free: Wei,
    nonce: int,
) -> None:
    """Sign in the lane, until all is done or it was held for long enough.

    Raises:
        TryAgain: the signer is away, and nothing was signed.
    """
    bridge, run, begun = work.bridge, work.run, work.bridge.clock()
    # Claims bring money back: they may use what the floor keeps from transfers.
    floor = bridge.rules.thresholds.min_balance if admission else None
    held = {o.key: o for o in uow.orders.lock([o for r in requests for o in r.orders])}
    # Of all wallets, and once nobody else can sign for these orders in another one's lane.
    undecided = {(p.subject, p.purpose) for t in uow.outbox.in_flight() for p in t.parts}
    for request in requests:
        if batch.signed and (bridge.clock() - begun).total_seconds() > _MAX_LANE_SECONDS:
            return
        batch.done += 1
        orders = [held[o.key] for o in request.orders if o.key in held]
        if len(orders) < len(request.orders):
            run.log(f"{request.subject}: {CONCURRENTLY}")
            continue
        order = orders[0]
        if any((o.key, work.step) in undecided for o in orders):
            # Whatever its status is: two of them at two nonces could both be mined.
            run.log(f"{request.subject}: an earlier {work.step} is undecided, no other is signed")
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
            short = _insufficient(needed, free, floor or Wei(0))
            batch.refused += [(o, short) for o in orders]
            continue
        try:
            signed = _signed(work, order, request, behind, fees, nonce)
        except TryAgain:
            if not batch.signed:
                raise
            batch.done -= 1  # the next hold asks the signer again
            return
        except Failure as e:
            batch.refused += [(o, e) for o in orders]
            continue
        batch.signed += signed
        batch.sent += [
            Change(before=o, after=_sent(o, request, signed[0]), tx=signed[0].hash) for o in orders
        ]
        undecided |= {(o.key, work.step) for o in orders}
        if admission:
            admission.take(order)
        free, nonce = Wei(free - needed), nonce + len(signed)


def _signed(
    work: Work,
    order: Order,
    request: SubmitRequest,
    behind: ClaimBehind | None,
    fees: Fees,
    nonce: int,
) -> list[Transaction]:
    """Sign an order's transaction, and the claim behind it at the next nonce."""
    unsigned = Unsigned(
        subject=request.subject,
        purpose=work.step,
        attempt=order.attempt,
        nonce=nonce,
        call=request.call,
        gas=request.gas,
        fees=fees,
        batch=request.parts(work.step),
    )
    signed = [sign(work.bridge, unsigned)]
    if behind is not None:
        claim = replace(unsigned, purpose=REPAY, nonce=nonce + 1, call=behind.call, gas=behind.gas)
        signed.append(sign(work.bridge, claim))
    return signed


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
