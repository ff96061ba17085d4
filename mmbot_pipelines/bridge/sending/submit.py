"""How a step's transactions go out: stored with the order's step first, then broadcast."""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE, Work
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending.batches import (
    LANE_IS_TAKEN,
    open_batch,
    read_delegation,
)
from mmbot_pipelines.bridge.sending.caps import RunLimits, Wait, log_waits
from mmbot_pipelines.bridge.sending.lane import broadcast, hold_lane, in_flight
from mmbot_pipelines.bridge.sending.nonces import next_nonce
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.bridge.sending.signing import Signing, sign_each, sign_one
from mmbot_pipelines.bridge.transitions import record_all, release
from mmbot_pipelines.core import concurrency, failpoints
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    StoreUnavailable,
    TryAgain,
)
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.outbox import Fees
from mmbot_pipelines.core.safety import StatesChanged


def submit(
    work: Work,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    *,
    origin: str,
    run_limits: RunLimits | None = None,
) -> None:
    """Sign, store and broadcast one transaction per order, with consecutive nonces.

    What the first of the work's wallets cannot pay or sign now goes to the next one.

    run_limits: what it does not let pass waits; claims have none.

    In a dry run nothing is signed, stored or sent: each simulated transaction is logged.

    Rows and steps are written in one database transaction. Should the process die
    before the broadcast, the receipts sensor finds that no node knows the row and
    sends the same bytes.

    Raises:
        NonceTooHigh: what nodes count of the wallet cannot be; nothing was signed.
    """
    if work.bridge.rules.dry_run:
        for request in requests:
            work.run.log(_not_sent(work, request, fees))
        return
    left = list(requests)
    for lane in work.lanes:
        if left:
            work.bridge = lane
            left = _submit_from_wallet(work, left, fees, origin, run_limits)


def _submit_from_wallet(
    work: Work,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    origin: str,
    run_limits: RunLimits | None,
) -> list[SubmitRequest]:
    """Send requests from one wallet; return those that it leaves to the next one."""
    left, passed = list(requests), list[SubmitRequest]()
    size = BATCH_SIZE if work.bridge.batch_contract is None else max(1, len(left))
    while left:
        try:
            batch = _submit_batch(work, left[:size], fees, origin, run_limits)
            left, passed = left[batch.done :], passed + batch.passed
        except ConcurrentUpdate as e:
            if size == 1:
                work.run.log(f"{e}: not sent")
                left = left[1:]
            size = 1  # one of them has a transaction already: the others go out without it
        except StoreUnavailable:
            raise
        except TryAgain as e:
            if work.is_last_wallet:
                raise
            wallet = work.bridge.chain.wallet
            work.run.log(f"{wallet} signs nothing now, {e}: the next wallet does")
            return [*passed, *left]
    return passed


def _not_sent(work: Work, request: SubmitRequest, fees: Fees) -> str:
    most = format_ether(request.gas * fees.ceiling)
    return (
        f"{request.subject}: dry run, not sent: {work.step} to {request.call.to}, value "
        f"{format_ether(request.call.value)}, {request.gas} gas as simulated, at most {most}"
    )


def _submit_batch(
    work: Work,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    origin: str,
    run_limits: RunLimits | None,
) -> Signing:
    """Send the first of these requests, within one hold of the lane.

    However slow the signer is, others get the lane soon. A halt does not wait for it at all:
    what was signed while the states changed is thrown away, and decided again.

    Raises:
        ConcurrentUpdate: one of them has a transaction already; nothing was stored.
    """
    bridge, run, batch = work.bridge, work.run, Signing()
    sent = run_limits.sent if run_limits else 0
    chain, since = bridge.chain, in_flight(bridge)
    with concurrency.questions() as ask:
        pending = ask.submit(chain.nonce, pending=True)
        balance = ask.submit(chain.balance)
        delegation = ask.submit(read_delegation, bridge)
    chain_nonce, shared = pending.result(), open_batch(bridge, delegation.result(), run)
    try:
        with hold_lane(bridge, since, balance.result()) as (uow, lane, free):
            admission = run_limits.open(uow, origin) if run_limits else None
            nonce = next_nonce(chain, lane, chain_nonce)
            if shared is None:
                sign_each(work, batch, uow, requests, fees, admission, free, nonce)
            else:
                sign_one(work, batch, uow, lane, requests, fees, admission, free, nonce, shared)
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
        return Signing()
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    failpoints.failpoint(failpoints.Point(f"{work.step}-stored"))
    for row in broadcast(bridge, run, batch.signed):
        run.log(
            f"{row.subject}: {row.purpose} {row.hash} with nonce {row.nonce} sent to "
            f"{row.call.to} by wallet {row.wallet}, "
            f"value {format_ether(Wei(sum(part.value for part in row.parts)))}"
        )
    failpoints.failpoint(failpoints.Point(f"{work.step}-broadcast"))
    log_waits(work, batch.waiting)
    _take_up(bridge, batch.waiting)
    for order, failure in batch.refused:
        work.fail(order, failure)
    return batch


def _take_up(bridge: Bridge, waiting: Sequence[tuple[Order, Wait]]) -> None:
    """Let orders be taken at once where what they waited for was decided meanwhile."""
    keys = [order.key for order, wait in waiting if wait is LANE_IS_TAKEN]
    if keys and not in_flight(bridge):
        release(bridge, keys)
