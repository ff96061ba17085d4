"""The audit's reading of real chains, by the real adapters, beside what the bot has done there."""

from sqlalchemy import delete, update

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.db.bridge.audit import PgAuditRecords
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.tables.orders import order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.auditor.findings import Auditor, Check, Mark
from mmbot_pipelines.bridge.auditor.run import audit
from tests.chain.chain_harness import ChainHarness


def test_a_bot_that_worked_is_found_right_and_each_change_is_found(
    chain_harness: ChainHarness,
) -> None:
    chain_harness.rules(l1_finality_blocks=1)
    bridge = chain_harness.bridge
    assert isinstance(bridge.registry, PaymentRegistry)
    assert isinstance(bridge.store, PgBridgeStore)
    engine = bridge.store._engine
    auditor = Auditor(
        bridge=bridge,
        records=PgAuditRecords(engine),
        payments=bridge.registry,
        reports=PgReports(engine),
        blocks=1000,
    )
    mark: Mark | None = None
    _, mark = audit(auditor, mark)
    chain_harness.ports.set_orders(3)
    chain_harness.finish(1)
    assert set(chain_harness.statuses().values()) == {"COMPLETED"}
    chain_harness.ports.mine()
    chain_harness.ports.mine()
    steps.backfill(bridge, chain_harness.run)
    findings, mark = audit(auditor, mark)
    assert [f.problems for f in findings if f.problems] == []
    counted = {f.check: f.checked for f in findings}
    assert (counted[Check.STORED], counted[Check.PAYMENTS]) == (3, 3)
    assert counted[Check.OUTBOX] == counted[Check.NONCES] == counted[Check.BALANCE] == 6

    key = chain_harness.orders()[0].key
    with engine.begin() as connection:
        connection.execute(delete(order_events).where(order_events.c.key == key))
        connection.execute(delete(orders).where(orders.c.key == key))
        connection.execute(update(transactions).values(gas_used=1))
    findings, mark = audit(auditor, mark)
    problems = {f.check: list(f.problems) for f in findings if f.problems}
    assert problems[Check.STORED][0].startswith(f"{key} locks ")
    assert f"was paid for {key}, which is not in the database" in problems[Check.PAYMENTS][0]
    assert len(problems[Check.OUTBOX]) == 6
