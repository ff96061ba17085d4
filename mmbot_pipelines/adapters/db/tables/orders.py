"""The tables of orders: their state, history and errors, and how far an origin was read.

When an order came into a state stands once, in `order_events`; `orders` repeats only the
newest change, which the lists are sorted by.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    false,
    func,
    text,
)

from mmbot_pipelines.adapters.db.columns import Instant, SafeText, Uint256
from mmbot_pipelines.adapters.db.tables.schema import at_least, metadata, one_of, uint256
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.money import UINT256_MAX

orders = Table(
    "orders",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("number", Uint256, primary_key=True),
    Column("key", Text, Computed("origin || ':' || number::text", persisted=True), unique=True),
    Column("recipient", Text, nullable=False),
    uint256("amount"),
    uint256("fee"),
    uint256("block_number"),
    Column("block_hash", Text, nullable=False),
    Column("set_order_tx", Text, nullable=False),
    Column("status", Text, nullable=False),
    at_least("attempt", 1),
    at_least("failures", 0),
    at_least("lost_claims", 0, server_default="0"),
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
    Column("reason", SafeText),
    Column("waiting_since", Instant),
    Column("transfer_tx", Text),
    Column("claim_tx", Text),
    Column("claim_ref", SafeText),
    Column("settle_tx", Text),
    uint256("settle_block_number", nullable=True),
    Column("settle_block_hash", Text),
    Column("settle_final", Boolean, nullable=False, server_default=false()),
    uint256("claim_cost", nullable=True),
    uint256("claim_refund", nullable=True),
    uint256("searched_below", nullable=True),
    Column("changed_at", Instant, nullable=False),
    Column("asked_at", Instant),  # when a run was last asked for; null: ask at the next tick
    at_least("version", 0),
    CheckConstraint(f"number BETWEEN 0 AND {UINT256_MAX}", name="number"),
    one_of("status", Status),
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
Index(
    "orders_settled_lately",
    orders.c.origin,
    orders.c.changed_at,
    orders.c.number,
    postgresql_where=(orders.c.status == Status.COMPLETED.value) & ~orders.c.settle_final,
)
Index("orders_due", orders.c.next_attempt_at, postgresql_where=orders.c.failed)
# As text, for Postgres matches an index only where a query has the same text.
OPEN = text("status NOT IN ('COMPLETED', 'DROPPED')")
HEALTHY = text("NOT failed AND status NOT IN ('COMPLETED', 'DROPPED')")
Index("orders_healthy", orders.c.status, orders.c.changed_at, postgresql_where=HEALTHY)
TO_PAY = text("status IN ('PENDING', 'PROCESSING') AND NOT failed")
TO_CLAIM = text("status = 'FULFILLED' AND NOT failed")
for _name, _which in (("to_pay", TO_PAY), ("to_claim", TO_CLAIM)):
    Index(
        f"orders_{_name}",
        orders.c.origin,
        orders.c.fee.desc(),
        func.coalesce(orders.c.asked_at, orders.c.changed_at),
        orders.c.number,
        postgresql_where=text(f"{_which} AND waiting_since IS NULL"),
    )
    Index(
        f"orders_{_name}_that_wait",
        orders.c.origin,
        orders.c.asked_at.nulls_first(),
        orders.c.number,
        postgresql_where=text(f"{_which} AND waiting_since IS NOT NULL"),
    )
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
WAITING_HEALTHY = text(
    "status IN ('PENDING', 'PROCESSING', 'FULFILLED') AND NOT failed AND reason IS NOT NULL"
)
# By the reason's hash, for an index row holds 2.7 kB and a reason may be longer.
Index(
    "orders_by_reason",
    orders.c.origin,
    func.md5(orders.c.reason),
    orders.c.number,
    postgresql_where=WAITING_HEALTHY,
)
HELD_BACK = text("status = 'PROCESSING' AND NOT failed AND reason IS NOT NULL")
Index(
    "orders_held_back_of_recipient",
    orders.c.origin,
    func.md5(orders.c.reason),
    orders.c.recipient,
    orders.c.number,
    postgresql_where=HELD_BACK,
)
Index(
    "orders_in_blocks",
    orders.c.origin,
    orders.c.block_number,
    orders.c.number,
    postgresql_where=OPEN,
)
# Orders whose claim's outcome is decided off L1, by an L2 message or a prover; and those that
# are paid and have no such claim, but for the parked.
CLAIMED = text("(status = 'PROVED' OR status = 'PROVING' AND claim_ref IS NOT NULL)")
PARKED = text("failed AND next_attempt_at IS NULL")
Index(
    "orders_claimed",
    orders.c.origin,
    orders.c.changed_at,
    orders.c.number,
    postgresql_where=CLAIMED,
)
UNCLAIMED = text(
    "(status = 'FULFILLED' OR status = 'PROVING' AND claim_ref IS NULL)"
    " AND (NOT failed OR next_attempt_at IS NOT NULL)"
)
Index(
    "orders_unclaimed",
    orders.c.origin,
    orders.c.changed_at,
    orders.c.number,
    postgresql_where=UNCLAIMED,
)
PARKED_PAID = text(f"{PARKED} AND status IN ('FULFILLED', 'PROVING', 'PROVED')")
PARKED_UNPAID = text(f"{PARKED} AND status NOT IN ('FULFILLED', 'PROVING', 'PROVED')")
for _name, _which in (("paid", PARKED_PAID), ("unpaid", PARKED_UNPAID)):
    Index(
        f"orders_parked_{_name}",
        orders.c.changed_at,
        orders.c.origin,
        orders.c.number,
        postgresql_where=_which,
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
    Column("reason", SafeText),
    one_of("before", Status),
    one_of("after", Status),
)
Index("order_events_of_order", order_events.c.key, order_events.c.id)
Index("order_events_by_time", order_events.c.at)
Index(
    "order_events_came",
    order_events.c.after,
    order_events.c.at,
    postgresql_where=order_events.c.before.is_distinct_from(order_events.c.after),
)

# Which run works on which order. No foreign key: it would wait for a row that a lane holds.
order_runs = Table(
    "order_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", Instant, nullable=False),
)
Index("order_runs_by_time", order_runs.c.at)

errors = Table(
    "errors",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", SafeText, nullable=False),
    Column("step", SafeText, nullable=False),
    Column("kind", SafeText, nullable=False),
    Column("message", SafeText, nullable=False),
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

blocks = Table(
    "blocks",
    metadata,
    Column("network", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    uint256("number"),
    Column("hash", Text, nullable=False),
    one_of("kind", Cursor),
)
