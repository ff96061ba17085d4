"""What becomes of one order whose block the L2 has taken back."""

from dataclasses import replace

from mmbot_pipelines.bridge.escrow_faults import OrderAbsent
from mmbot_pipelines.bridge.failures import Work, fault_of
from mmbot_pipelines.bridge.lifecycle import TAKEN_BACK, Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import (
    Failure,
    LostRace,
    NoSuchBlock,
    ReorgAfterPayment,
    TakenBack,
)
from mmbot_pipelines.core.money import in_words
from mmbot_pipelines.core.outbox import Block

_UNPAID = (Status.PENDING, Status.PROCESSING, Status.DROPPED)


def follow(work: Work, order: Order, again: Order | None, head: Block) -> Order | None:
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
    """Tell whether it is this very order, wherever it stands."""
    content = (order.key, order.recipient, order.amount, order.fee)
    return content == (again.key, again.recipient, again.amount, again.fee)


def _missing(work: Work, order: Order, head: Block) -> Order | None:
    if _known(order):
        return None
    if head.number < order.block.number:
        work.run.say(f"{order.key}: waits, no node has block {order.block.number} now")
        return None
    (against,) = work.bridge.origins[order.origin].check([order])
    # Paused, paid out, not to be read: none of it says that the order is gone.
    if not isinstance(against, OrderAbsent):
        said = f"says {type(against).__name__}" if against else "holds it"
        work.run.say(f"{order.key}: waits, the escrow {said}, but its event is not found")
        return None
    _taken_back(work, order, f"its block {order.block.number} was taken back, and no other has it")
    return None


def _known(order: Order) -> bool:
    """Tell whether it has been told that the order, which may be paid, stands in no block."""
    told = order.parked or order.status.final
    return order.taken_back and order.status not in _UNPAID and told


def _other(work: Work, order: Order, again: Order) -> Order | None:
    """Store what the number stands for now, unless money is or may be out for the first."""
    now = f"{in_words(again.amount)} to {again.recipient} for a fee of {in_words(again.fee)}"
    was = f"{in_words(order.amount)} to {order.recipient} for a fee of {in_words(order.fee)}"
    why = f"its block {order.block.number} was taken back with {was}; its number is {now} now"
    at, unpaid = work.bridge.clock(), order.status in _UNPAID
    if unpaid:
        told = order.after(Fact.RETOLD, at=at, reason=why)
    elif (order.recipient, order.amount) == (again.recipient, again.amount):
        # The registry knows no fee: what was paid for the first is paid for the second.
        told = order.cleared() if order.taken_back else order
    else:
        if not _known(order):
            _taken_back(work, order, why)
        return None
    after = replace(
        told,
        recipient=again.recipient,
        amount=again.amount,
        fee=again.fee,
        block=again.block,
        set_order_tx=again.set_order_tx,
    )
    fault = fault_of(order, TakenBack(why), work.step)
    try:
        orders = work.bridge.orders
        stored = orders.retell(order, after, run_id=work.run.id, at=at, fault=fault)
        work.run.say(f"{order.key}: {why}")
    except LostRace as e:
        work.run.say(f"{order.key}: not told anew, {e}")
        return None
    return None if unpaid else stored


def _moved(work: Work, order: Order, again: Order) -> Order | None:
    """Store the block that has the order now; what was given up for its absence goes on."""
    if order.block == again.block:
        return order
    at, where = work.bridge.clock(), f"it stands in block {again.block.number} {again.block.hash}"
    if not order.taken_back:
        back, said = order, f"{where} now"
    elif order.status is Status.DROPPED:
        back, said = order.after(Fact.RETOLD, at=at, reason=where), f"revived, {where}"
    else:
        back, said = order.cleared(), f"goes on, {where}"
    after = replace(back, block=again.block, set_order_tx=again.set_order_tx)
    try:
        tx = again.set_order_tx
        stored = work.bridge.orders.change(order, after, run_id=work.run.id, at=at, tx=tx)
    except LostRace:
        work.run.say(f"{order.key}: another run has taken it further")
        return None
    work.run.say(f"{order.key}: {said}")
    return stored


def _taken_back(work: Work, order: Order, why: str) -> None:
    """Drop an order that nothing was sent for; stop one that is being paid, or is paid."""
    at = work.bridge.clock()
    failure = _failure(order, why)
    if order.status in (Status.PENDING, Status.PROCESSING):
        after = order.after(Fact.VANISHED, at=at, reason=why)
    else:
        block = Block(order.block.number, TAKEN_BACK)
        said = f"{type(failure).__name__}: {failure}"
        stopped = order.failing(said, failed=True, next_attempt_at=None)
        # What is completed is not taken up again, but its number is not silently another.
        after = replace(order if order.status.final else stopped, block=block)
    fault = fault_of(order, failure, work.step)
    try:
        work.bridge.orders.change(order, after, run_id=work.run.id, at=at, fault=fault)
        work.run.say(f"{order.key}: {fault.kind}: {failure}")
    except LostRace:
        work.run.say(f"{order.key}: another run has taken it further")


def _failure(order: Order, why: str) -> Failure:
    if order.status in (Status.PENDING, Status.PROCESSING):
        return TakenBack(why)
    if order.status is Status.TRANSFERRING:
        return NoSuchBlock(f"{why}; the transfer {order.transfer_tx} is cancelled if it can be")
    return ReorgAfterPayment(
        f"{why}; {in_words(order.amount)} are paid in {order.transfer_tx}, and nobody owes us "
        f"the {in_words(order.amount + order.fee)}: they are claimed if the order comes back"
    )
