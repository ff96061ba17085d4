"""A database full of orders that ended long ago, some parked ones, and a few under way."""

from importlib import import_module

from sqlalchemy import Connection, Engine, text

from mmbot_pipelines.bridge.claim_cost import ClaimUnprofitable
from mmbot_pipelines.bridge.fill import PricesTooHigh
from mmbot_pipelines.core.errors import InsufficientFunds

CHAIN_ID = 31337
WALLET = "0x00000000000000000000000000000000000000AA"  # that paid all of it

_SEED = """
INSERT INTO mmbot.orders (
    origin, number, recipient, amount, fee, block_number, block_hash, set_order_tx, status,
    attempt, failures, failed, reason, transfer_tx, claim_tx, settle_tx, settle_final,
    changed_at, version
)
SELECT
    CASE WHEN n % 3 = 0 THEN 'starknet' ELSE 'zksync' END, n,
    '0x' || lpad(to_hex(n % 1000), 40, '0'), 10000000000000000, 10000000000000, n,
    '0x' || md5(n::text), '0x' || md5('set' || n), status, 1, 0, parked,
    CASE WHEN parked THEN 'SimulationReverted: Transfer failed.' END,
    CASE WHEN phase >= 3 THEN '0x' || md5('t' || n) END,
    CASE WHEN phase >= 5 THEN '0x' || md5('c' || n) END,
    CASE WHEN phase = 7 THEN '0x' || md5('s' || n) END,
    phase = 7, at, 1
FROM seed;

INSERT INTO mmbot.order_events (key, before, after, at, run_id)
SELECT
    CASE WHEN n % 3 = 0 THEN 'starknet:' ELSE 'zksync:' END || n,
    way[step - 1], way[step], at - make_interval(secs => 3 * (phase - step)), 'seed'
FROM seed,
    LATERAL (SELECT CASE WHEN status = 'DROPPED' THEN '{PENDING,DROPPED}'::text[]
        ELSE '{PENDING,PROCESSING,TRANSFERRING,FULFILLED,PROVING,PROVED,COMPLETED}' END AS way) w,
    LATERAL generate_series(1, CASE WHEN status = 'DROPPED' THEN 2 ELSE phase END) step;

INSERT INTO mmbot.transactions (
    subject, purpose, attempt, chain_id, wallet, nonce, hash, raw, call_to, call_data,
    call_value, gas, fee_base, fee_priority, fee_ceiling, stored_at, state, block_number,
    block_hash, gas_used, gas_price
)
SELECT
    CASE WHEN n % 3 = 0 THEN 'starknet:' ELSE 'zksync:' END || n, purpose, 1, :chain, :wallet,
    2 * n + (purpose = 'repay')::int, '0x' || md5(purpose || n), '\\x00', '0xregistry', '\\x00',
    1, 100000, 1, 1, 1, at, 'MINED', n % 6, '0xblock', 90000, 1000000000
FROM seed, unnest('{transfer,repay}'::text[]) purpose
WHERE phase >= CASE purpose WHEN 'transfer' THEN 4 ELSE 6 END;

INSERT INTO mmbot.errors (subject, step, kind, message, at, run_id)
SELECT 'zksync:' || n, 'transfer',
    CASE WHEN n % 5000 = 0 THEN 'Reverted' ELSE 'RpcUnavailable' END, 'no node', at, 'seed'
FROM seed;
"""

# What strangers, prices and our own faults can make many orders be: status, failed, reason.
BACKLOGS = {
    "dust": ("PENDING", False, PricesTooHigh.reason),
    "no room": ("PROCESSING", False, "waiting: MMBOT_MAX_EXPOSURE_WEI reached"),
    "no ETH": ("PROCESSING", False, InsufficientFunds.reason),
    "unclaimed": ("FULFILLED", False, ClaimUnprofitable.reason),
    "undelivered": ("PROVED", False, None),
    "parked": ("PENDING", True, "SimulationReverted: Transfer failed."),
    "parked paid": ("FULFILLED", True, "ClaimRefused: no"),
}

# They were asked for by turns, 20 a second: 100 a tick of 5 seconds.
_ROWS = """
INSERT INTO mmbot.orders (
    origin, number, recipient, amount, fee, block_number, block_hash, set_order_tx, status,
    attempt, failures, failed, reason, waiting_since, transfer_tx, claim_tx, changed_at, asked_at,
    version
)
SELECT 'zksync', :first + n, '0x' || lpad(to_hex(n), 40, '0'), 10000000000000000, 1,
    :first + n, '0x01', '0x02', :status, 1, 0, :failed, :reason,
    CASE WHEN NOT :failed AND CAST(:reason AS text) IS NOT NULL THEN at END,
    CASE WHEN :status IN ('FULFILLED', 'PROVED') THEN '0xt' || n END,
    CASE WHEN :status = 'PROVED' THEN '0xc' || n END, at,
    now() - make_interval(secs => n / 20.0), 1
FROM generate_series(1, :count) n,
    LATERAL (SELECT now() - interval '1 day' - make_interval(secs => n % 3600) AS at) t
"""

_VERSIONS = "mmbot_pipelines.adapters.db.migrations.versions"

# Every index that no constraint needs: made again at the end, many times faster than row by row.
_INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'mmbot'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conindid = i.indexrelid
)
"""

# One order every 2 minutes until now; the newest are under way, one of 500 is parked. Their
# numbers are not those that an origin in memory gives.
_SHAPE = """
CREATE TEMP TABLE seed ON COMMIT DROP AS
SELECT n + 10000000 AS n, at, parked,
    CASE WHEN parked THEN 'PENDING' WHEN n % 50 = 1 THEN 'DROPPED' ELSE
        ('{PENDING,PROCESSING,TRANSFERRING,FULFILLED,PROVING,PROVED,COMPLETED}'::text[])[phase]
    END AS status, CASE WHEN parked THEN 1 ELSE phase END AS phase
FROM (
    SELECT n, now() - make_interval(secs => 120 * (:count - n)) AS at, n % 500 = 7 AS parked,
        CASE WHEN n <= :count - 21 THEN 7 ELSE 1 + n % 6 END AS phase
    FROM generate_series(1, :count) n
) phases
"""


def store(engine: Engine, count: int) -> None:
    """Store so many orders, with their history, transactions, errors and tallies."""
    with engine.begin() as connection:
        _run(connection, "SET LOCAL statement_timeout = 0")
        _run(connection, "SET LOCAL session_replication_role = replica")  # no triggers: faster
        _run(connection, "SET LOCAL synchronous_commit = off")
        _run(connection, "SET LOCAL maintenance_work_mem = '512MB'")
        _run(connection, "SET LOCAL work_mem = '256MB'")
        indexes = connection.execute(text(_INDEXES)).all()
        for name, _ in indexes:
            _run(connection, f"DROP INDEX {name}")
        _run(connection, _SHAPE, count=count)
        for statement in _SEED.split(";\n"):
            if statement.strip():
                given = {"chain": CHAIN_ID, "wallet": WALLET} if ":chain" in statement else {}
                _run(connection, statement, **given)
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
        _tally(connection)
    _analyse(engine)


def store_backlog(engine: Engine, kind: str, count: int) -> None:
    """Store so many orders more that are all in one state, the oldest of them hours ago."""
    status, failed, reason = BACKLOGS[kind]
    given = {"status": status, "failed": failed, "reason": reason, "count": count}
    first = 20_000_000 + 10_000_000 * list(BACKLOGS).index(kind)
    with engine.begin() as connection:
        _run(connection, "SET LOCAL statement_timeout = 0")
        _run(connection, "SET LOCAL session_replication_role = replica")
        _run(connection, _ROWS, first=first, **given)
        _tally(connection)
    _analyse(engine)


def _tally(connection: Connection) -> None:
    """Count what is stored, as no trigger did."""
    _run(connection, "TRUNCATE mmbot.tallies")
    for migration in ("0011_tallies", "0019_bounds"):
        _run(connection, import_module(f"{_VERSIONS}.{migration}").SO_FAR)


def _analyse(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _run(connection, "SET statement_timeout = 0")
        _run(connection, "VACUUM ANALYZE")


def _run(connection: Connection, statement: str, **given: object) -> None:
    connection.execute(text(statement), given)
