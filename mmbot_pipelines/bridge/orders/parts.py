"""What a transaction that serves several orders means for each of them. Pure."""

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import NonceTaken, Reverted, TryLater
from mmbot_pipelines.core.outbox import Outcome, Transaction, TxState


class BatchFailed(TryLater):
    """The transaction that an order shared with others came to nothing: it goes alone next time.

    It counts towards no halt, for one batch would count as often as it has orders. Its own error,
    which `batch_fault` is, counts once.
    """


def batch_failure(outcome: Outcome) -> BatchFailed:
    """Return what the orders of a batch that reverted or was lost have met."""
    row, others = outcome.transaction, len(outcome.transaction.parts) - 1
    what = "reverted" if outcome.state is TxState.REVERTED else "can never be mined"
    return BatchFailed(f"{row.hash}, shared with {others} others, {what}: {outcome.reason}")


def batch_fault(outcome: Outcome) -> Fault | None:
    """Return the one error of a batch that reverted or was lost; None of any other outcome."""
    row = outcome.transaction
    if not row.batch or outcome.state is TxState.REPLACED:
        return None
    if outcome.state is TxState.MINED and not did_nothing(row):
        return None
    kind = NonceTaken if outcome.state is TxState.LOST else Reverted
    message = f"{row.hash}: {outcome.reason}"
    return Fault(subject=row.subject, step=row.purpose, kind=kind.__name__, message=message)


def did_nothing(mined: Transaction) -> bool:
    """Return whether a mined batch did nothing for any order."""
    return bool(mined.batch) and all(part.failed for part in mined.batch)


def has_failed_part(mined: Transaction, order: Order) -> bool:
    """Return whether a mined batch has not done for an order what it is for.

    That of transfers with their claims is for the transfers.
    """
    of_order = (p for p in mined.batch if (p.subject, p.purpose) == (order.key, mined.purpose))
    return any(part.failed for part in of_order)


def is_left_out(order: Order, outcome: Outcome) -> bool:
    """Return whether only a row that was replaced served the order, not the mined one."""
    return all(part.subject != order.key for part in outcome.transaction.parts)
