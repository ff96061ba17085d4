"""See what became of the transactions that were sent."""

from dataclasses import replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import after_failure, fault_of
from mmbot_pipelines.bridge.guard import guard_failures
from mmbot_pipelines.bridge.order import NEXT, Fact, Order
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import Failure, Lost, LostRace, Reverted
from mmbot_pipelines.core.money import gwei
from mmbot_pipelines.core.outbox import Outcome, TxState, outcomes

_FACTS = {
    TxState.MINED: Fact.MINED,
    TxState.REVERTED: Fact.REVERTED,
    TxState.LOST: Fact.LOST,
}


def settle_receipts(bridge: Bridge, run: Run) -> int:
    """Take orders on by the receipts of their transactions; return how many are left.

    A row that no node knows any more is broadcast again by the way.
    """
    waiting = bridge.orders.in_flight()
    decided, failed = 0, False
    for outcome in outcomes(bridge.chain, waiting):
        crash.here(crash.Point.RECEIPT_READ)
        try:
            _decide(bridge, outcome, run)
        except LostRace:
            run.say(f"{outcome.transaction.subject}: another run has read this receipt")
        decided += 1
        failed |= outcome.state is not TxState.MINED
        crash.here(crash.Point.RECEIPT_STORED)
    if failed:
        guard_failures(bridge, run)
    return len(waiting) - decided


def _decide(bridge: Bridge, outcome: Outcome, run: Run) -> None:
    transaction, now = outcome.transaction, bridge.clock()
    order = next(iter(bridge.orders.get([transaction.subject])), None)
    fact = _FACTS[outcome.state]
    if order is None or not _moves(order, outcome, fact):
        bridge.orders.decide(outcome, None, None, run_id=run.id, at=now)
        return
    after = order.after(fact, at=now)
    failure = _failure(outcome)
    if failure is None:
        bridge.orders.decide(outcome, order, after, run_id=run.id, at=now)
    else:
        # One failure on top of those before the transaction: it was no progress.
        after = after_failure(bridge, replace(after, failures=order.failures), failure)
        fault = fault_of(order, failure, transaction.purpose)
        bridge.orders.decide(outcome, order, after, run_id=run.id, at=now, fault=fault)
    run.say(_told(order, after, outcome))


def _moves(order: Order, outcome: Outcome, fact: Fact) -> bool:
    """Tell whether the order still waits for this very transaction."""
    ours = outcome.transaction.hash in (order.transfer_tx, order.claim_tx)
    return ours and (order.status, fact) in NEXT


def _failure(outcome: Outcome) -> Failure | None:
    match outcome.state:
        case TxState.REVERTED:
            return Reverted(f"{outcome.transaction.hash} reverted: {outcome.reason}")
        case TxState.LOST:
            return Lost(f"{outcome.transaction.hash} can never be mined: {outcome.reason}")
        case _:
            return None


def _told(order: Order, after: Order, outcome: Outcome) -> str:
    receipt, transaction = outcome.receipt, outcome.transaction
    said = f"{order.key}: {transaction.purpose} {transaction.hash}"
    if receipt is None:
        return f"{said} lost: {outcome.reason}"
    cost = f"{receipt.gas_used} gas at {gwei(receipt.gas_price)}"
    if receipt.succeeded:
        return f"{said} mined in block {receipt.block.number}, {cost}; now {after.status}"
    return f"{said} reverted in block {receipt.block.number}, {cost}: {outcome.reason}"
