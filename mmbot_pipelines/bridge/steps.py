"""What the bridge does when it is asked: the calls that Dagster and the CLI make.

New order, retry, backfill, a person's reprocessing: all come to `advance`, and asking
twice changes nothing.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.claims.claim import claim_again, repay, settle
from mmbot_pipelines.bridge.claims.refunds import record_refunds
from mmbot_pipelines.bridge.fill import resume_paid, transfer
from mmbot_pipelines.bridge.guard import guard
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.bridge.receipts.process import process_receipts
from mmbot_pipelines.bridge.reorg.l1 import check_l1_reorgs
from mmbot_pipelines.bridge.reorg.l2 import anchored, relocate_rescanned, review
from mmbot_pipelines.bridge.reorg.settlements import review_settlements
from mmbot_pipelines.bridge.stuck.replace import replace_stuck, stuck_transactions
from mmbot_pipelines.bridge.taking import is_throttled, take_orders
from mmbot_pipelines.bridge.transitions import (
    change,
    forget_runs,
    record_error,
    record_run,
    record_scan,
    release,
)
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure, OrdersFailed, RunDied

__all__ = [
    "Bridge",
    "OrdersFailed",
    "Rules",
    "advance",
    "backfill",
    "check_l1_reorgs",
    "detect",
    "forget_runs",
    "guard",
    "is_throttled",
    "process_receipts",
    "record_run",
    "record_run_failure",
    "repay",
    "replace_stuck",
    "reprocess",
    "retry",
    "settle",
    "stuck_transactions",
    "take_orders",
    "transfer",
]

# Each range is stored with its cursor, so a long way back is read over several ticks.
_RANGES_PER_TICK = 40

# Accepted blocks that are read again each time, beside the sensor's own reading.
_OVERLAP = 20

# Failed orders that one run of the retry takes up: a crowd takes several.
_MAX_RETRIED = 200

_DIED = RunDied.__name__


def detect(bridge: Bridge, origin: str, run: Run, kind: Cursor = Cursor.LATEST) -> list[str]:
    """Store the orders that the escrow got since the cursor; return the new ones' keys."""
    l2 = bridge.origins[origin]
    head = l2.head(kind)
    cursor = anchored(bridge, origin, kind, head, run)
    overlap = _OVERLAP if kind is Cursor.ACCEPTED else 0
    first = l2.start if cursor is None else max(l2.start, cursor.number + 1 - overlap)
    found: list[str] = []
    if cursor is None or cursor.number < head.number:
        for _ in range(_RANGES_PER_TICK):
            if first > head.number:
                break
            scan = l2.scan(first, head.number, witnessed=kind is Cursor.ACCEPTED)
            found += _store(bridge, origin, kind, scan, run)
            first = scan.last.number + 1
    if kind is Cursor.LATEST and first > head.number:
        scan = l2.unsealed(head)
        if scan.orders or scan.faults:
            found += _store(bridge, origin, kind, scan, run)
    return found


def _store(bridge: Bridge, origin: str, kind: Cursor, scan: Scan, run: Run) -> list[str]:
    failpoints.failpoint(failpoints.Point.SCANNED)
    relocate_rescanned(bridge, origin, scan.orders, run)
    with bridge.store.begin() as uow:
        new = record_scan(uow, origin, kind, scan, run_id=run.id, at=bridge.clock())
    failpoints.failpoint(failpoints.Point.CURSOR_STORED)
    for order in scan.orders:
        if order.key in new:
            run.log(f"{order.key}: found in block {order.block.number}")
    for fault in scan.faults:
        run.log(f"{fault.subject}: skipped, {fault.message}")
    return new


def backfill(bridge: Bridge, run: Run) -> list[str]:
    """Read the accepted blocks again; return the orders that no run was asked for yet.

    One origin that cannot be read is noted and keeps none of the others waiting.
    """
    keys: list[str] = []
    for origin in bridge.origins:
        try:
            review(bridge, origin, run)
            detect(bridge, origin, run, Cursor.ACCEPTED)
            review_settlements(bridge, origin, run)
            record_refunds(bridge, origin, run)
            bridge.origins[origin].record_costs()
        except Failure as e:
            fault = Fault(subject=origin, step="backfill", kind=type(e).__name__, message=str(e))
            record_error(bridge, run, fault)
            run.log(f"{origin}: not read, {e}; tried again in 5 minutes")
        keys += [o.key for o in take_orders(bridge, [Status.PENDING, Status.PROCESSING], origin)]
    return keys


def retry(bridge: Bridge, run: Run) -> list[str]:
    """Return the failed orders whose next attempt has come."""
    due = bridge.store.orders.due(at=bridge.clock(), max_orders=_MAX_RETRIED)
    for order in due:
        run.log(f"{order.key}: attempt {order.failures + 1} at {order.status}, {order.reason}")
    return [o.key for o in due]


def advance(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Take orders as far as they can go without waiting for a block.

    Raises:
        OrdersFailed: some orders failed; the others went on.
    """
    check_l1_reorgs(bridge, run)
    process_receipts(bridge, run)
    failed: list[OrdersFailed] = []
    for do in (transfer, _settle_all, repay):
        try:
            do(bridge, keys, run)
        except OrdersFailed as e:
            failed.append(e)
    if failed:
        raise OrdersFailed(
            "\n".join(map(str, failed)), is_own_fault=any(e.is_own_fault for e in failed)
        )


def _settle_all(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    for origin in sorted({o.origin for o in bridge.store.orders.get(keys)}):
        try:
            settle(bridge, origin, run)
        except Failure as e:
            # Its sensor asks on and fails visibly; here no other order shall wait for it.
            run.log(f"{origin}: settlements not seen, {type(e).__name__}: {e}")


def reprocess(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Take up orders by hand: clear what failed, claim again what got lost, then advance.

    What was dropped is decided again, unless the L2 has taken the order itself back.

    Raises:
        OrdersFailed: an order failed again.
    """
    for order in bridge.store.orders.get(keys):
        now = bridge.clock()
        if order.status is Status.DROPPED and not order.is_orphaned:
            again = order.after(Fact.REOPENED, at=now, reason="a person retries it")
        elif not order.status.is_final and (order.failed or order.failures or order.lost_claims):
            again = order.with_failures_cleared()
        else:
            continue
        if change(bridge, run, order, again, taken=True):
            run.log(f"{order.key}: taken up again at {again.status}")
    resume_paid(bridge, keys, run)
    claim_again(bridge, keys, run)
    advance(bridge, keys, run)
    for order in bridge.store.orders.get(keys):
        run.log(f"{order.key}: now {order.status}")


def record_run_failure(
    bridge: Bridge, keys: Sequence[str], run: Run, why: str, step_ended: bool
) -> bool:
    """Keep, once for all its orders, that a run has failed, where it could not itself.

    step_ended: its step ended by itself, so that an error of one order may be the whole reason,
        and what nobody foresaw would come again. Where it was killed they go on at once.
    Returns whether anything was kept.
    """
    kept = [entry.fault for entry in bridge.store.errors.of_run(run.id)]
    if any(fault.kind == _DIED for fault in kept) or (step_ended and kept):
        return False
    named = {fault.subject for fault in kept}
    silent = bridge.store.orders.get([key for key in keys if key not in named])
    if not silent:
        return False
    if not step_ended:
        release(bridge, [order.key for order in silent])
    origins = ", ".join(sorted({order.origin for order in silent}))
    fault = Fault(
        subject=silent[0].key if len(silent) == 1 else origins,
        step="run",
        kind=_DIED,
        message=why if len(silent) == 1 else f"{why}; it had {len(silent)} orders",
    )
    record_error(bridge, run, fault)
    return True
