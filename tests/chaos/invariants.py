"""Gather the facts for `bridge.audit` past the bot: the chains' and, by SQL, the database's."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.bridge.audit.facts import (
    Audited,
    OrderTerms,
    StoredEvent,
    StoredFacts,
    StoredOrder,
    StoredTransaction,
)
from mmbot_pipelines.bridge.audit.invariants import audit
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.outbox import TxState
from tests.chaos.chain_facts import Chains, Snapshot

_SHOWN = 5
_ORDERS = "SELECT * FROM mmbot.orders ORDER BY origin, number"
_EVENTS = "SELECT key, before, after FROM mmbot.order_events ORDER BY id"
_ERRORS = "SELECT subject, run_id FROM mmbot.errors ORDER BY id"
_TRANSACTIONS = """
    SELECT t.*, coalesce(
        (SELECT array_agg(p.subject) FROM mmbot.transaction_parts p
         WHERE p.transaction_id = t.id AND NOT p.failed),
        ARRAY[t.subject]
    ) AS serves, coalesce(
        (SELECT sum(CASE WHEN p.failed THEN 0 ELSE p.value END)
         FROM mmbot.transaction_parts p WHERE p.transaction_id = t.id),
        t.call_value
    ) AS value FROM mmbot.transactions t ORDER BY nonce, id"""
_HAS_RUNS = "SELECT to_regclass('dagster.runs') IS NOT NULL"
_FAILED_RUNS = """
    SELECT r.run_id, o.key FROM dagster.runs r JOIN mmbot.order_runs o USING (run_id)
    WHERE r.status = 'FAILURE'
    UNION SELECT r.run_id, t.value FROM dagster.runs r JOIN dagster.run_tags t USING (run_id)
    WHERE r.status = 'FAILURE' AND t.key = 'order'"""


def audited(chains: Chains, database_url: str, since: Snapshot) -> list[Audited]:
    """Return every invariant with what violates it, once the bot is at rest.

    since: taken before the first order.
    """
    return audit(chains.facts(since), stored_facts(database_url))


def stored_facts(database_url: str) -> StoredFacts:
    """Read all rows in one snapshot."""
    engine = create_engine(store_url(database_url), isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            read: Callable[[str], Sequence[Any]] = lambda sql: connection.execute(text(sql)).all()  # noqa: E731
            failed = read(_FAILED_RUNS) if connection.scalar(text(_HAS_RUNS)) else []
            return StoredFacts(
                orders=[_order(row) for row in read(_ORDERS)],
                events=[StoredEvent(**row._mapping) for row in read(_EVENTS)],
                errors=[(row.subject, row.run_id) for row in read(_ERRORS)],
                transactions=[_transaction(row) for row in read(_TRANSACTIONS)],
                failed_runs=[(run, key) for run, key in failed],
            )
    finally:
        engine.dispose()


def table(results: Sequence[Audited]) -> str:
    """Write the results as text, one invariant a line, with its violations below it."""
    width = max(len(result.name) for result in results)
    lines = []
    for result in results:
        verdict = f"VIOLATED {len(result.violations)}" if result.violations else "ok"
        lines.append(f"{result.name:<{width}}  {result.checked:>6}  {verdict}")
        lines += [f"    {line}" for line in result.violations[:_SHOWN]]
        if len(result.violations) > _SHOWN:
            lines.append(f"    ... and {len(result.violations) - _SHOWN} more")
    return "\n".join(lines)


def final_states(stored: StoredFacts) -> Counter[str]:
    """Count the orders by their status, the parked ones apart."""
    return Counter(f"{o.status}{' parked' if o.parked else ''}" for o in stored.orders)


def _order(row: Any) -> StoredOrder:
    return StoredOrder(
        key=row.key,
        origin=row.origin,
        terms=OrderTerms(
            recipient=int(row.recipient, 16), amount=int(row.amount), fee=int(row.fee)
        ),
        status=Status(row.status),
        failed=row.failed,
        parked=row.failed and row.next_attempt_at is None,
        reason=row.reason,
        claim_refund=int(row.claim_refund or 0),
    )


def _transaction(row: Any) -> StoredTransaction:
    return StoredTransaction(
        subject=row.subject,
        serves=row.serves,
        hash=row.hash,
        nonce=int(row.nonce),
        state=TxState(row.state),
        value=int(row.value),
        gas_cost=int((row.gas_used or 0) * (row.gas_price or 0)),
    )
