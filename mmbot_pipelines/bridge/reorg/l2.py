"""Follow an L2 that takes blocks back: with the cursor, and with every unfinished order.

A block's hash stands for all blocks before it. What is read again is harmless, for a stored
order is never overwritten; so where nothing is known, more is read rather than less.
"""

from collections.abc import Mapping, Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Origin
from mmbot_pipelines.bridge.ports.orders import Cursor, OrderFilter
from mmbot_pipelines.bridge.reorg.relocate import relocate_order
from mmbot_pipelines.bridge.reorg.settlements import review_settlements_above
from mmbot_pipelines.bridge.transitions import record_error
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.outbox import Block

# Unfinished orders that one review looks at, the highest block first: above a fork, and in the
# backfill. All others are looked at before money goes out for them.
_MAX_FORKED = 5_000
_MAX_REVIEWED = 1_000

# Blocks known from before that are compared with the chain, to find where it was left.
_KNOWN = 100

# Blocks that are read again below that place: what is known may be from after a reorg.
_MARGIN = 100

# Ranges that one search for orders may take: a whole chain, at worst.
_MAX_RANGES = 1000


def anchored(bridge: Bridge, origin: str, kind: Cursor, head: Block, run: Run) -> Block | None:
    """Return the block to read on from; None: from the first that can hold an order.

    Where the chain has left the cursor, all unfinished orders are looked at first, and then
    the cursor goes back to a block that is in the chain.
    """
    l2, cursor = bridge.origins[origin], bridge.store.orders.cursor(origin, kind)
    if cursor is None or cursor == head:
        return cursor
    behind = head.number < cursor.number
    now = None if behind else l2.blocks([cursor.number])[0]
    if now == cursor or (now is None and not behind):
        return cursor
    known = _left_at(bridge, origin, cursor.number)
    if behind and known is None:
        return cursor  # one node that is behind is no reason to read everything again
    first = l2.start if known is None else known
    to = l2.blocks([first - 1])[0] if first > l2.start else None
    if to is None and first > l2.start:
        return cursor  # that node does not have it just now
    failpoints.failpoint(failpoints.Point.L2_REORG_SEEN)
    _review(bridge, origin, run, first=first, max_orders=_MAX_FORKED)
    why = f"the newest block is {head.number}" if now is None else f"it is {now.hash} now"
    line = f"block {cursor.number} was {cursor.hash}, {why}; read again from block {first}"
    run.log(f"{origin}: {line}")
    if now is not None:
        fault = Fault(subject=origin, step="scan", kind="Reorg", message=line)
        record_error(bridge, run, fault)
        review_settlements_above(bridge, origin, run, first=first)
    failpoints.failpoint(failpoints.Point.L2_REORG_REVIEWED)
    try:
        with bridge.store.begin() as uow:
            uow.orders.rewind(origin, kind, cursor, to)
    except ConcurrentUpdate:
        return bridge.store.orders.cursor(origin, kind)
    return to


def review(bridge: Bridge, origin: str, run: Run) -> None:
    """Look whether the newest unfinished orders still stand in the blocks they were found in."""
    _review(bridge, origin, run, first=0, max_orders=_MAX_REVIEWED)


def _review(bridge: Bridge, origin: str, run: Run, *, first: int, max_orders: int) -> None:
    unfinished = bridge.store.orders.unfinished(origin, first=first, max_orders=max_orders)
    blocks = blocks_of(bridge.origins[origin], unfinished)
    still_in_chain(Work(bridge, run, "review"), origin, unfinished, blocks)


def blocks_of(l2: Origin, orders: Sequence[Order]) -> dict[int, Block | None]:
    """Return the blocks that the chain has now where these orders were found, by number."""
    return _now(l2, {order.block.number for order in orders})


def still_in_chain(
    work: Work, origin: str, orders: Sequence[Order], blocks: Mapping[int, Block | None]
) -> list[Order]:
    """Return the orders that the chain has now, with the block that has them.

    The others were reorged out, or are logged again, or cannot be checked now and wait.
    blocks: those of the chain now, see `blocks_of`.
    """
    l2 = work.bridge.origins[origin]
    elsewhere = [order for order in orders if blocks[order.block.number] != order.block]
    if not elsewhere:
        return list(orders)
    head = l2.head(Cursor.LATEST)
    lowest = min(order.block.number for order in elsewhere)
    # Most stand where they were, in a block that was sealed since, or one that replaced it.
    found = _search(l2, lowest, head)
    if found is not None and any(order.number not in found for order in elsewhere):
        found = _search(l2, _left_at(work.bridge, origin, lowest) or l2.start, head)
    if found is None:
        work.run.log(f"{origin}: blocks change while they are read, {len(elsewhere)} orders wait")
    there = []
    for order in orders:
        if blocks[order.block.number] == order.block:
            there.append(order)
        elif found is not None:
            now = relocate_order(work, order, found.get(order.number), head)
            there += [now] if now is not None else []
    return there


def relocate_rescanned(bridge: Bridge, origin: str, scanned: Sequence[Order], run: Run) -> None:
    """Take stored orders to where a scan has found them again, if their own block is gone."""
    stored = {order.key: order for order in bridge.store.orders.get([o.key for o in scanned])}
    other = [o for o in scanned if o.key in stored and stored[o.key].block != o.block]
    if not other:
        return
    l2, work = bridge.origins[origin], Work(bridge, run, "scan")
    blocks = _now(l2, {stored[o.key].block.number for o in other})
    head = l2.head(Cursor.LATEST)
    for again in other:
        order = stored[again.key]
        now = blocks[order.block.number]
        if order.is_orphaned or (now is not None and now != order.block):
            relocate_order(work, order, again, head)


def _now(l2: Origin, numbers: set[int]) -> dict[int, Block | None]:
    asked = sorted(numbers)
    return dict(zip(asked, l2.blocks(asked), strict=True))


def _left_at(bridge: Bridge, origin: str, below: int) -> int | None:
    """Return a block below which the chain is as it was; None: none is known."""
    l2 = bridge.origins[origin]
    known = {
        order.block for order in bridge.store.orders.find(OrderFilter(origin=origin, limit=_KNOWN))
    }
    known |= {cursor for kind in Cursor if (cursor := bridge.store.orders.cursor(origin, kind))}
    blocks = _now(l2, {block.number for block in known if block.number < below})
    still_in_chain = [number for number, now in blocks.items() if now in known]
    return max(l2.start, max(still_in_chain) + 1 - _MARGIN) if still_in_chain else None


def _search(l2: Origin, first: int, head: Block) -> dict[int, Order] | None:
    """Find all orders from a block on, by number; None where the chain changes meanwhile."""
    found: dict[int, Order] = {}
    for _ in range(_MAX_RANGES):
        if first > head.number:
            break
        scan = l2.scan(first, head.number)
        found |= {order.number: order for order in scan.orders}
        first = scan.last.number + 1
    found |= {o.number: o for o in l2.unsealed(head).orders if o.number not in found}
    return found if first > head.number and l2.blocks([head.number]) == [head] else None
