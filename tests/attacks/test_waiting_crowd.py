"""Ten thousand orders that wait, or are parked, slow neither the lane nor the alerts."""

import re

from sqlalchemy import Engine, event, text

from mmbot_pipelines.adapters.db.engine import connect
from tests.bench.ticks import BenchBridge

ORDERS = 10_000

# `asked_at` is now: their own turn is not looked at here.
_RUN_LIMIT_FACTOR = """
INSERT INTO mmbot.orders (
    origin, number, recipient, amount, fee, block_number, block_hash, set_order_tx, status,
    attempt, failures, failed, reason, waiting_since, changed_at, asked_at, version
)
SELECT 'zksync', n + 10000000, '0x' || lpad(to_hex(n), 40, '0'), 10000000000000000,
    10000000000000, 1, '0x01', '0x02', :status, 1, 0, :failed, :reason,
    CASE WHEN NOT :failed THEN now() END, now(), now(), 1
FROM generate_series(1, :count) n
"""


def store_waiting(engine: Engine, *, status: str, reason: str, failed: bool) -> None:
    given = {"status": status, "reason": reason, "failed": failed, "count": ORDERS}
    with engine.begin() as connection:
        connection.execute(text(_RUN_LIMIT_FACTOR), given)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE mmbot.orders"))


def max_rows(engine: Engine, dagster_server: BenchBridge, *parts: str) -> int:
    """Return the most rows of `orders` that one question of these parts reads."""
    asked: list[tuple[str, object]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: object, __: object, statement: str, given: object, ___: object, ____: bool) -> None:
        if statement.startswith(("SELECT", "WITH")):
            asked.append((statement, given[0] if isinstance(given, list) else given))

    for part in parts:
        dagster_server.parts()[part]()
    event.remove(engine, "before_cursor_execute", note)
    most = 0
    with engine.connect() as connection:
        for statement, given in asked:
            plan = f"EXPLAIN (ANALYZE, TIMING OFF) {statement}"
            rows = connection.exec_driver_sql(plan, given)
            reported = "\n".join(row[0] for row in rows)
            reads = re.findall(r" on orders.*actual rows=([0-9.]+) loops=(\d+)", reported)
            most = max([most, *(int(float(n) * int(loops)) for n, loops in reads)])
        connection.rollback()
    return most


def test_many_orders_that_wait_for_room_do_not_slow_the_lane(database_url: str) -> None:
    engine = connect(database_url)
    dagster_server = BenchBridge(engine)
    dagster_server.find()
    assert dagster_server.keys
    reason = "waiting: MMBOT_MAX_EXPOSURE_WEI reached"
    store_waiting(engine, status="PROCESSING", reason=reason, failed=False)
    assert max_rows(engine, dagster_server, "run: transfer") <= 100
    engine.dispose()


def test_many_parked_orders_do_not_slow_the_alerts(database_url: str) -> None:
    engine = connect(database_url)
    dagster_server = BenchBridge(engine)
    store_waiting(engine, status="PENDING", reason="SimulationReverted: no", failed=True)
    assert max_rows(engine, dagster_server, "alerts sensor") <= 100
    engine.dispose()
