"""The tables of schema `mmbot`: what is true about every order and every transaction.

When an order came into a state stands once, in `order_events`; `orders` repeats only the
newest change, which the lists are sorted by. On-chain quantities are all uint256, even
where a sane node answers less: a lying one must not break a write.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mmbot_pipelines.adapters.db.columns import Instant, Uint256, Words
from mmbot_pipelines.bridge.order import Status
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.core.money import UINT256_MAX
from mmbot_pipelines.core.outbox import TxState

SCHEMA = "mmbot"
_STATES = ["NORMAL", "THROTTLED", "HALTED"]

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)


def _uint256(name: str, *, nullable: bool = False) -> Column[int]:
    fits = CheckConstraint(f"{name} BETWEEN 0 AND {UINT256_MAX}", name=name)
    return Column(name, Uint256, fits, nullable=nullable)


def _at_least(name: str, least: int, **kwargs: object) -> Column[int]:
    fits = CheckConstraint(f"{name} >= {least}", name=name)
    return Column(name, Integer, fits, nullable=False, **kwargs)  # type: ignore[arg-type]


def _one_of(column: str, values: type[Status | TxState | Cursor] | list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


orders = Table(
    "orders",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("number", Uint256, primary_key=True),
    Column("key", Text, Computed("origin || ':' || number::text", persisted=True), unique=True),
    Column("recipient", Text, nullable=False),
    _uint256("amount"),
    _uint256("fee"),
    _uint256("block_number"),
    Column("block_hash", Text, nullable=False),
    Column("set_order_tx", Text, nullable=False),
    Column("status", Text, nullable=False),
    _at_least("attempt", 1),
    _at_least("failures", 0),
    _at_least("lost_claims", 0, server_default="0"),
    Column("failed", Boolean, nullable=False),
    Column("next_attempt_at", Instant),
    Column(
        "condition",
        Text,
        Computed(
            "CASE WHEN NOT failed THEN 'healthy' WHEN next_attempt_at IS NULL THEN 'parked'"
            " ELSE 'failed' END",
            persisted=True,
        ),
    ),
    Column("reason", Words),
    Column("waiting_since", Instant),
    Column("transfer_tx", Text),
    Column("claim_tx", Text),
    Column("claim_ref", Words),
    Column("settle_tx", Text),
    _uint256("settle_block_number", nullable=True),
    Column("settle_block_hash", Text),
    Column("settle_final", Boolean, nullable=False, server_default=false()),
    _uint256("claim_cost", nullable=True),
    _uint256("claim_refund", nullable=True),
    _uint256("searched_below", nullable=True),
    Column("changed_at", Instant, nullable=False),
    Column("asked_at", Instant),  # when a run was last asked for; null: ask at the next tick
    _at_least("version", 0),
    CheckConstraint(f"number BETWEEN 0 AND {UINT256_MAX}", name="number"),
    _one_of("status", Status),
    CheckConstraint("failed OR next_attempt_at IS NULL", name="next_attempt_at"),
)
Index("orders_by_status", orders.c.status, orders.c.changed_at)
Index("orders_by_change", orders.c.changed_at)
Index(
    "orders_settled",
    orders.c.origin,
    orders.c.settle_block_number,
    postgresql_where=(orders.c.status == Status.COMPLETED.value) & ~orders.c.settle_final,
)
Index("orders_due", orders.c.next_attempt_at, postgresql_where=orders.c.failed)
# As text, for Postgres matches an index only where a query says the same words.
OPEN = text("status NOT IN ('COMPLETED', 'DROPPED')")
Index("orders_to_ask", orders.c.status, orders.c.asked_at, postgresql_where=~orders.c.failed & OPEN)
Index(
    "orders_failed",
    orders.c.changed_at,
    orders.c.origin,
    orders.c.number,
    postgresql_where=orders.c.failed,
)
Index(
    "orders_open",
    orders.c.origin,
    orders.c.condition,
    orders.c.block_number,
    postgresql_where=OPEN,
)
Index("orders_of_origin", orders.c.origin, orders.c.changed_at, orders.c.number)

order_events = Table(
    "order_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", Text, ForeignKey(orders.c.key), nullable=False),
    Column("before", Text),  # null: the order was seen for the first time
    Column("after", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("tx", Text),
    Column("reason", Words),
    _one_of("before", Status),
    _one_of("after", Status),
)
Index("order_events_of_order", order_events.c.key, order_events.c.id)
Index("order_events_by_time", order_events.c.at)
Index(
    "order_events_came",
    order_events.c.after,
    order_events.c.at,
    postgresql_where=order_events.c.before.is_distinct_from(order_events.c.after),
)

errors = Table(
    "errors",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", Words, nullable=False),
    Column("step", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    # what a scan found is there again at every rescan, but is one error
    Column("scanned", Boolean, nullable=False, server_default=false()),
)
Index("errors_of_subject", errors.c.subject, errors.c.id)
Index("errors_by_time", errors.c.at)
Index("errors_of_kind", errors.c.step, errors.c.kind, errors.c.at)
Index("errors_of_run", errors.c.run_id)
Index(
    "errors_scanned_once",
    func.md5(errors.c.subject),
    errors.c.step,
    errors.c.kind,
    func.md5(errors.c.message),  # an index row holds 2.7 kB, a message may be longer
    unique=True,
    postgresql_where=errors.c.scanned,
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    _at_least("attempt", 1),
    _at_least("bump", 0, server_default="0"),  # how often it was replaced with higher fees
    _uint256("chain_id"),
    Column("wallet", Text, nullable=False),
    _uint256("nonce"),
    Column("hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("call_to", Text, nullable=False),
    Column("call_data", LargeBinary, nullable=False),
    _uint256("call_value"),
    _uint256("gas"),
    _uint256("fee_base"),
    _uint256("fee_priority"),
    _uint256("fee_ceiling"),
    Column("stored_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    _uint256("block_number", nullable=True),
    Column("block_hash", Text),
    _uint256("gas_used", nullable=True),
    _uint256("gas_price", nullable=True),
    UniqueConstraint("subject", "purpose", "attempt", "bump"),
    UniqueConstraint("chain_id", "wallet", "nonce", "bump"),
    _one_of("state", TxState),
    # a receipt is stored whole, and exactly for what was mined
    CheckConstraint(
        "num_nulls(block_number, block_hash, gas_used, gas_price)"
        " = CASE WHEN state IN ('MINED', 'REVERTED') THEN 0 ELSE 4 END",
        name="receipt",
    ),
)
Index(
    "transactions_in_flight",
    transactions.c.nonce,
    postgresql_where=transactions.c.state == TxState.STORED.value,
)
# Of an order's transaction, whose subject is the order's key. Literals, for a bound parameter
# would not be the index's expression.
origin_of_transaction: ColumnElement[str] = func.split_part(
    transactions.c.subject, literal_column("':'"), literal_column("1")
)
Index(
    "transactions_mined_of_kind",
    transactions.c.purpose,
    origin_of_transaction,
    transactions.c.id,
    postgresql_where=transactions.c.state == TxState.MINED.value,
)
Index("transactions_by_time", transactions.c.stored_at)
Index("transactions_by_block", transactions.c.block_number)

# of our account on Starknet: see core/invokes.py
invokes = Table(
    "invokes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _uint256("chain_id"),
    Column("wallet", Text, nullable=False),
    _uint256("nonce"),
    _at_least("bump", 0),
    Column("hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("subjects", ARRAY(Text), nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    UniqueConstraint("chain_id", "wallet", "nonce", "bump"),
    _one_of("state", TxState),
)
Index(
    "invokes_undecided",
    invokes.c.nonce,
    postgresql_where=invokes.c.state == TxState.STORED.value,
)
Index(
    "invokes_reverted",
    invokes.c.subjects,
    postgresql_using="gin",
    postgresql_where=invokes.c.state == TxState.REVERTED.value,
)

blocks = Table(
    "blocks",
    metadata,
    Column("network", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _uint256("number"),
    Column("hash", Text, nullable=False),
    _one_of("kind", Cursor),
)

safety = Table(
    "safety",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("by_whom", Words, nullable=False),
    Column("why", Words, nullable=False),
    Column("causes", Text, nullable=False),  # of THROTTLED, separated by commas
    Column("seen_at", Instant),  # when a cause of THROTTLED was last seen
    Column("resumed_at", Instant),  # failures before count no more
    _at_least("version", 0),
    _one_of("state", _STATES),
)

safety_events = Table(
    "safety_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by_whom", Words, nullable=False),
    Column("why", Words, nullable=False),
    _one_of("before", _STATES),
    _one_of("after", _STATES),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("key", Words, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("lasting", Boolean, nullable=False),  # false: told once, without a recovery notice
    Column("since", Instant, nullable=False),
    Column("told_at", Instant),
    Column("gone_at", Instant),
    Column("over_at", Instant),  # when the channel was told that it is over: nothing is left to say
    Column("taken_at", Instant),  # by whoever is telling it now
    _at_least("tries", 0),  # to tell it that failed
    _one_of("severity", ["CRITICAL", "HIGH", "MEDIUM", "LOW"]),
)
Index(
    "alerts_open",
    alerts.c.channel,
    alerts.c.key,
    unique=True,
    postgresql_where=alerts.c.over_at.is_(None),
)

daemons = Table(
    "daemons",
    metadata,
    Column("name", Text, primary_key=True),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)

# Sums over whole tables: triggers append to them as rows change (migration 0011), and fold
# them together now and then. A sum is that of all rows of one name and its labels.
tallies = Table(
    "tallies",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),
    Column("value", Numeric, nullable=False),
)

wallets = Table(
    "wallets",
    metadata,
    _uint256("chain_id"),
    Column("address", Text, nullable=False),
    _uint256("nonce"),
    _uint256("balance"),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("chain_id", "address"),
)
