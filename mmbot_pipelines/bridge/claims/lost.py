"""Mined claims that can never arrive: their orders go back to the claim. Writes the store."""

from collections.abc import Sequence
from dataclasses import replace

from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.parts import BatchFailed
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.transitions import record_error
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Transaction


def give_up(work: Work, lost: Sequence[tuple[Order, Failure]]) -> None:
    """Take orders whose claims are lost back to the claim, each as a failure.

    A batch that is lost counts once towards a halt, however many orders it has.
    """
    batches: dict[TxHash, Transaction] = {}
    for order, failure in lost:
        batch = batches.get(order.claim_tx) if order.claim_tx else None
        if batch is None and (batch := _batch_of(work, order)) is not None:
            batches[batch.hash] = batch
            _record_batch(work, batch, failure)
        if batch is not None:
            others = len(batch.parts) - 1
            failure = BatchFailed(f"shared with {others} others, {failure}")  # noqa: PLW2901
        _give_up(work, order, failure)


def give_up_batch(work: Work, batch: Transaction, failure: Failure) -> None:
    """Take the orders that wait for a batch's message back to the claim."""
    orders = work.bridge.store.orders.get([part.subject for part in batch.parts])
    waiting = [o for o in orders if (o.status, o.claim_tx) == (Status.PROVED, batch.hash)]
    give_up(work, [(order, failure) for order in waiting])


def _batch_of(work: Work, order: Order) -> Transaction | None:
    """Return the claim whose one message is of several orders, this one among them."""
    rows = work.bridge.store.outbox.of(order.key)
    claims = (row for row in rows if row.has_one_call and row.serves(order.key, REPAY))
    return next((row for row in claims if row.hash == order.claim_tx), None)


def _record_batch(work: Work, batch: Transaction, failure: Failure) -> None:
    kind, message = type(failure).__name__, str(failure)
    known = work.bridge.store.errors.of(batch.subject)
    if all((entry.fault.kind, entry.fault.message) != (kind, message) for entry in known):
        fault = Fault(subject=batch.subject, step=work.step, kind=kind, message=message)
        record_error(work.bridge, work.run, fault)


def _give_up(work: Work, order: Order, failure: Failure) -> None:
    undelivered = order.after(Fact.UNDELIVERED, at=work.bridge.clock())
    # A claim that is mined counts as progress, so failures would never add up over claims.
    lost = order.lost_claims
    work.roll_back(order, replace(undelivered, failures=lost, lost_claims=lost + 1), failure)
