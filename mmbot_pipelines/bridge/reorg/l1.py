"""Find reorgs of L1: what was mined stands in another block, or in none."""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import fault_of
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.receipts.batches import with_failed_parts
from mmbot_pipelines.bridge.transitions import Change, record_all
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import ConcurrentUpdate, Reorged
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block, Outcome, Receipt, Transaction, TxState


def check_l1_reorgs(bridge: Bridge, run: Run) -> None:
    """Compare what was mined lately with the chain, and take orders back where it differs.

    One transaction of each block speaks for the others in it. What was reorged out is
    undecided again: its bytes are sent by the next `process_receipts`. The claims come
    first, and of each kind the highest nonces: what came last is taken back first.
    """
    chain = bridge.chain
    head = chain.head()
    lately = bridge.store.outbox.mined_since(max(0, head.number - bridge.rules.l1_finality_blocks))
    speakers = list({row.block: row for row in lately}.values())
    stands = {
        row.block
        for row, receipt in zip(speakers, _receipts(bridge, speakers), strict=True)
        if receipt is not None and receipt.block == row.block
    }
    suspects = [row for row in reversed(lately) if row.block not in stands]
    suspects.sort(key=lambda row: row.purpose != REPAY)
    for row, receipt in zip(suspects, _receipts(bridge, suspects), strict=True):
        try:
            _compare(bridge, row, receipt, head, run)
        except ConcurrentUpdate:
            run.log(f"{row.subject}: another run has looked at {row.hash}")


def _receipts(bridge: Bridge, rows: Sequence[Transaction]) -> list[Receipt | None]:
    return bridge.chain.receipts([row.hash for row in rows])


def _compare(
    bridge: Bridge, row: Transaction, receipt: Receipt | None, head: Block, run: Run
) -> None:
    was = row.block
    if was is None or (receipt is not None and receipt.block == was):
        return
    if receipt is not None and _did_the_same(bridge, row, receipt):
        with bridge.store.begin() as uow:
            uow.outbox.move_to_block(row, receipt)
        run.log(f"{row.subject}: {row.hash} moved from block {was.number} to {receipt.block}")
        return
    if receipt is None and head.number < was.number:
        return  # the node is behind, which proves nothing
    failpoints.failpoint(failpoints.Point.L1_REORG_SEEN)
    _roll_back(bridge, row, was, run)


def _did_the_same(bridge: Bridge, row: Transaction, receipt: Receipt) -> bool:
    """Return whether a transaction did in its new block what it did in the old one.

    Of a batch other calls may have failed there: then all of it is decided again.
    """
    if receipt.succeeded is not (row.state is TxState.MINED):
        return False
    orders = bridge.store.orders.get([part.subject for part in row.batch]) if row.batch else []
    outcome = Outcome(transaction=row, state=row.state, receipt=receipt)
    judged = with_failed_parts(bridge, outcome, {order.key: order for order in orders})
    return judged.transaction.batch == row.batch


def _roll_back(bridge: Bridge, row: Transaction, was: Block, run: Run) -> None:
    """Make a nonce undecided again, and take every order back that waits for it."""
    now = bridge.clock()
    why = f"{row.purpose} {row.hash} stood in block {was.number} {was.hash}, which was reorged out"
    rows = bridge.store.outbox.of(row.subject)
    hashes = {t.hash for t in rows if (t.wallet, t.nonce) == (row.wallet, row.nonce)}
    keys = dict.fromkeys(part.subject for t in rows if t.hash in hashes for part in t.parts)
    changes = [
        Change(
            before=order,
            after=order.after(fact, at=now, reason=why),
            tx=row.hash,
            fault=fault_of(order, Reorged(why), row.purpose),
        )
        for order in bridge.store.orders.get(list(keys))
        if (fact := _fact(order, hashes)) is not None
    ]
    with bridge.store.begin() as uow:
        uow.outbox.reopen_nonce(row, at=now)
        record_all(uow, changes, run_id=run.id, at=now)
    for change in changes:
        run.log(f"{change.before.key}: {why}; now {change.after.status}, it is sent again")
    if not changes:
        run.log(f"{row.subject}: {why}; it is sent again")


def _fact(order: Order, hashes: set[TxHash]) -> Fact | None:
    """Return what it means for the order; None: the order has moved on since.

    A cancellation that is reorged out gives what it cancelled another chance.
    hashes: of all rows of the nonce.
    """
    fact = Fact.TRANSFER_REORGED if order.transfer_tx in hashes else Fact.CLAIM_REORGED
    concerned = not hashes.isdisjoint({order.claim_tx, order.transfer_tx})
    return fact if concerned and (order.status, fact) in NEXT else None
