"""What becomes of one order whose block was reorged out of the L2."""

from dataclasses import replace

from mmbot_pipelines.bridge.failures import Work, fault_of
from mmbot_pipelines.bridge.orders.escrow_errors import OrderAbsent
from mmbot_pipelines.bridge.orders.lifecycle import ORPHANED_HASH, Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.transitions import change, record_other_content
from mmbot_pipelines.core.errors import (
    ConcurrentUpdate,
    Failure,
    OrderOrphaned,
    ReorgAfterPayment,
    Reorged,
)
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.outbox import Block

_UNPAID = (Status.PENDING, Status.PROCESSING, Status.DROPPED)


def relocate_order(work: Work, order: Order, again: Order | None, head: Block) -> Order | None:
    """Take an order to where the chain has it now; None where it has it nowhere.

    again: what was found under its number, in another block than it is stored with.
    head: up to where everything was looked through.
    """
    if again is None:
        return _missing(work, order, head)
    if not same_content(order, again):
        return _other(work, order, again)
    return _moved(work, order, again)


def same_content(order: Order, again: Order) -> bool:
    """Return whether it is this very order, wherever it stands."""
    content = (order.key, order.recipient, order.amount, order.fee)
    return content == (again.key, again.recipient, again.amount, again.fee)


def _missing(work: Work, order: Order, head: Block) -> Order | None:
    if _is_known_orphan(order):
        return None
    if head.number < order.block.number:
        work.run.log(f"{order.key}: waits, no node has block {order.block.number} now")
        return None
    (against,) = work.bridge.origins[order.origin].check([order])
    # Paused, paid out, not readable: none of it means that the order is gone.
    if not isinstance(against, OrderAbsent):
        line = f"answers {type(against).__name__}" if against else "holds it"
        work.run.log(f"{order.key}: waits, the escrow {line}, but its event is not found")
        return None
    _orphan(work, order, f"its block {order.block.number} was reorged out, and no other has it")
    return None


def _is_known_orphan(order: Order) -> bool:
    """Return whether it is recorded that the order, which may be paid, stands in no block."""
    renewed = order.is_parked or order.status.is_final
    return order.is_orphaned and order.status not in _UNPAID and renewed


def _other(work: Work, order: Order, again: Order) -> Order | None:
    """Store what the number stands for now, unless money is or may be out for the first."""
    now = (
        f"{format_ether(again.amount)} to {again.recipient} for a fee of {format_ether(again.fee)}"
    )
    was = (
        f"{format_ether(order.amount)} to {order.recipient} for a fee of {format_ether(order.fee)}"
    )
    why = f"its block {order.block.number} was reorged out with {was}; its number is {now} now"
    at, unpaid = work.bridge.clock(), order.status in _UNPAID
    if unpaid:
        renewed = order.after(Fact.REEMITTED, at=at, reason=why)
    elif (order.recipient, order.amount) == (again.recipient, again.amount):
        # The registry knows no fee: what was paid for the first is paid for the second.
        renewed = order.with_failures_cleared() if order.is_orphaned else order
    else:
        if not _is_known_orphan(order):
            _orphan(work, order, why)
        return None
    after = replace(
        renewed,
        recipient=again.recipient,
        amount=again.amount,
        fee=again.fee,
        block=again.block,
        set_order_tx=again.set_order_tx,
    )
    fault = fault_of(order, Reorged(why), work.step)
    try:
        with work.bridge.store.begin() as uow:
            stored = record_other_content(uow, order, after, run_id=work.run.id, at=at, fault=fault)
        work.run.log(f"{order.key}: {why}")
    except ConcurrentUpdate as e:
        work.run.log(f"{order.key}: not relocated, {e}")
        return None
    return None if unpaid else stored


def _moved(work: Work, order: Order, again: Order) -> Order | None:
    """Store the block that has the order now; what was given up for its absence goes on."""
    if order.block == again.block:
        return order
    at, where = work.bridge.clock(), f"it stands in block {again.block.number} {again.block.hash}"
    if not order.is_orphaned:
        back, line = order, f"{where} now"
    elif order.status is Status.DROPPED:
        back, line = order.after(Fact.REEMITTED, at=at, reason=where), f"revived, {where}"
    else:
        back, line = order.with_failures_cleared(), f"goes on, {where}"
    after = replace(back, block=again.block, set_order_tx=again.set_order_tx)
    stored = change(work.bridge, work.run, order, after, tx=again.set_order_tx)
    if stored is not None:
        work.run.log(f"{order.key}: {line}")
    else:
        work.leave([order])  # the other one may have stored the block alone
    return stored


def _orphan(work: Work, order: Order, why: str) -> None:
    """Drop an order that nothing was sent for; stop one that is being paid, or is paid."""
    at = work.bridge.clock()
    failure = _failure(order, why)
    if order.status in (Status.PENDING, Status.PROCESSING):
        after = order.after(Fact.ORPHANED, at=at, reason=why)
    else:
        block = Block(order.block.number, ORPHANED_HASH)
        line = f"{type(failure).__name__}: {failure}"
        stopped = order.with_failure(line, failed=True, next_attempt_at=None)
        # What is completed is not taken up again, but its number is not silently another.
        after = replace(order if order.status.is_final else stopped, block=block)
    fault = fault_of(order, failure, work.step)
    if change(work.bridge, work.run, order, after, fault=fault):
        work.run.log(f"{order.key}: {fault.kind}: {failure}")


def _failure(order: Order, why: str) -> Failure:
    if order.status in (Status.PENDING, Status.PROCESSING):
        return Reorged(why)
    if order.status is Status.TRANSFERRING:
        return OrderOrphaned(f"{why}; the transfer {order.transfer_tx} is cancelled if it can be")
    return ReorgAfterPayment(
        f"{why}; {format_ether(order.amount)} are paid in {order.transfer_tx}, and nobody owes us "
        f"the {format_ether(order.amount + order.fee)}: they are claimed if the order comes back"
    )
