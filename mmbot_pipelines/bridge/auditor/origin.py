"""Check one origin: its escrow's orders, their numbers, how far it is read, what is overdue."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.audit import invariants
from mmbot_pipelines.bridge.audit.facts import ChainFacts, OrderTerms, StoredOrder
from mmbot_pipelines.bridge.auditor.findings import (
    HEADS_AGE,
    Auditor,
    Check,
    Finding,
    Mark,
    unknown,
)
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import format_ether

_MAX_NUMBERS = 1000  # of an origin's newest orders
_MAX_OVERDUE = 20  # orders that a problem names


def check_origin(
    auditor: Auditor, origin: str, heads: Mapping[str, int], before: Mark | None
) -> Iterator[Finding]:
    """Check an origin; heads: its newest blocks, those that it answers."""
    now = auditor.bridge.clock()
    yield _stored(auditor, origin)
    yield _contiguous(auditor, origin)
    yield _cursors(auditor, origin, heads, before, now)
    yield _punctual(auditor, origin, now)


def read_heads(auditor: Auditor, origin: str) -> dict[str, int]:
    """Read the origin's newest blocks; what no node answers is left out."""
    heads: dict[str, int] = {}
    for kind in Cursor:
        try:
            heads[kind] = auditor.bridge.origins[origin].head(kind).number
        except Failure:
            continue
    return heads


def _stored(auditor: Auditor, origin: str) -> Finding:
    """Read an origin's final blocks again, and look for each of their orders."""
    cursor = auditor.bridge.store.orders.cursor(origin, Cursor.ACCEPTED)
    last = -1 if cursor is None else cursor.number
    first = max(auditor.bridge.origins[origin].start, last - auditor.blocks + 1)
    try:
        locked = _locked(auditor, origin, first, last)
    except Failure as e:
        return unknown(Check.STORED, origin, e)
    known = auditor.bridge.store.orders.get(list(locked))
    facts = ChainFacts(locked=locked)
    problems = list(invariants.not_stored(facts, [StoredOrder.of(order) for order in known]))
    return Finding(
        check=Check.STORED,
        scope=origin,
        checked=len(locked),
        problems=problems,
        figures={"first block": first, "last block": last},
    )


def _locked(auditor: Auditor, origin: str, first: int, last: int) -> dict[str, OrderTerms]:
    """Read the escrow's orders in these blocks."""
    locked: dict[str, OrderTerms] = {}
    while first <= last:
        scan = auditor.bridge.origins[origin].scan(first, last, witnessed=True)
        locked |= {order.key: OrderTerms.of(order) for order in scan.orders}
        first = scan.last.number + 1
    return locked


def _contiguous(auditor: Auditor, origin: str) -> Finding:
    numbers = auditor.records.newest_numbers(origin, max_count=_MAX_NUMBERS)
    gone = list(invariants.missing_numbers(origin, numbers, frozenset()))
    if gone:  # rarely: so what was skipped is asked for only then
        skipped = auditor.records.with_errors([key for line in gone for key in line.split()[:1]])
        gone = [line for line in gone if line.split()[0] not in skipped]
    return Finding(check=Check.CONTIGUOUS, scope=origin, checked=len(numbers), problems=gone)


def _cursors(
    auditor: Auditor,
    origin: str,
    heads: Mapping[str, int],
    before: Mark | None,
    now: datetime,
) -> Finding:
    """Check that what was the newest block at the last audit has been read since."""
    problems, figures = [], {}
    old = before.heads.get(origin, {}) if before and now - before.heads_at >= HEADS_AGE else {}
    for kind in Cursor:
        cursor = auditor.bridge.store.orders.cursor(origin, kind)
        at, head = cursor.number if cursor else -1, heads.get(kind)
        figures[f"{kind} block read"] = at
        if head is None:
            problems.append(f"the newest {kind} block is not known: no node of {origin} answers")
            continue
        figures[f"{kind} blocks behind"] = max(0, head - at)
        if at < old.get(kind, -1):
            problems.append(
                f"the {kind} cursor of {origin} is at block {at}: {head - at} blocks behind, "
                f"and {old[kind] - at} behind the newest of the last audit; look at the ticks "
                f"of {origin}_orders and the runs of accepted_blocks_backfill"
            )
    return Finding(
        check=Check.CURSORS,
        scope=origin,
        checked=len(Cursor),
        problems=problems,
        figures=figures,
    )


def _punctual(auditor: Auditor, origin: str, now: datetime) -> Finding:
    rules = auditor.bridge.rules
    held = rules.batching.max_age_seconds if rules.batching else 0
    late = auditor.records.overdue(
        origin,
        unpaid_since=now - timedelta(seconds=rules.wait_for_price_seconds) - HEADS_AGE,
        paid_since=now - timedelta(seconds=rules.undelivered_after_seconds + held),
        max_orders=_MAX_OVERDUE,
    )
    problems = [
        f"{order.key} ({format_ether(order.amount)}) has been {order.status} since "
        f"{order.changed_at:%Y-%m-%d %H:%M} UTC: {order.reason or 'no reason is stored'}"
        for order in late
    ]
    return Finding(
        check=Check.PUNCTUAL,
        scope=origin,
        checked=len(late),
        problems=problems,
        is_grave=False,
    )
