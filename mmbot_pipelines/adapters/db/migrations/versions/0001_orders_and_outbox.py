"""Create orders, their history and errors, the outbox, the cursors and the safety states."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision = "0001"
down_revision = None

SCHEMA = "mmbot"
UINT256 = sa.Numeric(78, 0)
INSTANT = sa.DateTime(timezone=True)
UINT256_MAX = 2**256 - 1
STATUSES = (
    "'PENDING', 'PROCESSING', 'TRANSFERRING', 'FULFILLED',"
    " 'PROVING', 'PROVED', 'COMPLETED', 'DROPPED'"
)


def upgrade() -> None:
    op.create_table(
        "orders",
        _required("origin", sa.Text),
        _required("number", UINT256),
        sa.Column("key", sa.Text, sa.Computed("origin || ':' || number::text", persisted=True)),
        _required("recipient", sa.Text),
        _required("amount", UINT256),
        _required("fee", UINT256),
        _required("block_number", UINT256),
        _required("block_hash", sa.Text),
        _required("set_order_tx", sa.Text),
        _required("status", sa.Text),
        _required("attempt", sa.Integer),
        _required("failures", sa.Integer),
        _required("failed", sa.Boolean),
        sa.Column("next_attempt_at", INSTANT),
        sa.Column("reason", sa.Text),
        sa.Column("transfer_tx", sa.Text),
        sa.Column("claim_tx", sa.Text),
        sa.Column("settle_tx", sa.Text),
        _required("changed_at", INSTANT),
        sa.Column("asked_at", INSTANT),
        _required("version", sa.Integer),
        sa.PrimaryKeyConstraint("origin", "number", name="orders_pkey"),
        sa.UniqueConstraint("key", name="orders_key_key"),
        *_uint256s("orders", "number", "amount", "fee", "block_number"),
        _check("orders", "attempt", "attempt >= 1"),
        _check("orders", "failures", "failures >= 0"),
        _check("orders", "version", "version >= 0"),
        _check("orders", "status", f"status IN ({STATUSES})"),
        _check("orders", "next_attempt_at", "failed OR next_attempt_at IS NULL"),
        schema=SCHEMA,
    )
    _index("orders_by_status", "orders", ["status", "changed_at"])
    _index("orders_by_change", "orders", ["changed_at"])
    _index("orders_due", "orders", ["next_attempt_at"], where="failed")

    op.create_table(
        "order_events",
        _id(),
        _required("key", sa.Text),
        sa.Column("before", sa.Text),
        _required("after", sa.Text),
        _required("at", INSTANT),
        _required("run_id", sa.Text),
        sa.Column("tx", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="order_events_pkey"),
        sa.ForeignKeyConstraint(["key"], [f"{SCHEMA}.orders.key"], name="order_events_key_fkey"),
        _check("order_events", "before", f"before IN ({STATUSES})"),
        _check("order_events", "after", f"after IN ({STATUSES})"),
        schema=SCHEMA,
    )
    _index("order_events_of_order", "order_events", ["key", "id"])

    op.create_table(
        "errors",
        _id(),
        _required("subject", sa.Text),
        _required("step", sa.Text),
        _required("kind", sa.Text),
        _required("message", sa.Text),
        _required("at", INSTANT),
        _required("run_id", sa.Text),
        _required("scanned", sa.Boolean, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="errors_pkey"),
        schema=SCHEMA,
    )
    _index("errors_of_subject", "errors", ["subject", "id"])
    _index(
        "errors_scanned_once",
        "errors",
        [sa.text("md5(subject)"), "step", "kind", sa.text("md5(message)")],
        where="scanned",
        unique=True,
    )

    op.create_table(
        "transactions",
        _id(),
        _required("subject", sa.Text),
        _required("purpose", sa.Text),
        _required("attempt", sa.Integer),
        _required("bump", sa.Integer, server_default="0"),
        _required("chain_id", UINT256),
        _required("wallet", sa.Text),
        _required("nonce", UINT256),
        _required("hash", sa.Text),
        _required("raw", BYTEA),
        _required("call_to", sa.Text),
        _required("call_data", BYTEA),
        _required("call_value", UINT256),
        _required("gas", UINT256),
        _required("fee_base", UINT256),
        _required("fee_priority", UINT256),
        _required("fee_ceiling", UINT256),
        _required("stored_at", INSTANT),
        _required("state", sa.Text),
        sa.Column("block_number", UINT256),
        sa.Column("block_hash", sa.Text),
        sa.Column("gas_used", UINT256),
        sa.Column("gas_price", UINT256),
        sa.PrimaryKeyConstraint("id", name="transactions_pkey"),
        sa.UniqueConstraint("hash", name="transactions_hash_key"),
        sa.UniqueConstraint(
            "subject",
            "purpose",
            "attempt",
            "bump",
            name="transactions_subject_purpose_attempt_bump_key",
        ),
        sa.UniqueConstraint(
            "chain_id",
            "wallet",
            "nonce",
            "bump",
            name="transactions_chain_id_wallet_nonce_bump_key",
        ),
        *_uint256s("transactions", "chain_id", "nonce", "call_value", "gas"),
        *_uint256s("transactions", "fee_base", "fee_priority", "fee_ceiling"),
        *_uint256s("transactions", "block_number", "gas_used", "gas_price"),
        _check("transactions", "attempt", "attempt >= 1"),
        _check("transactions", "bump", "bump >= 0"),
        _check("transactions", "state", "state IN ('STORED', 'MINED', 'REVERTED', 'LOST')"),
        _check(
            "transactions",
            "receipt",
            "num_nulls(block_number, block_hash, gas_used, gas_price)"
            " = CASE WHEN state IN ('MINED', 'REVERTED') THEN 0 ELSE 4 END",
        ),
        schema=SCHEMA,
    )
    _index("transactions_in_flight", "transactions", ["nonce"], where="state = 'STORED'")

    op.create_table(
        "blocks",
        _required("network", sa.Text),
        _required("kind", sa.Text),
        _required("number", UINT256),
        _required("hash", sa.Text),
        sa.PrimaryKeyConstraint("network", "kind", name="blocks_pkey"),
        *_uint256s("blocks", "number"),
        _check("blocks", "kind", "kind IN ('latest', 'accepted')"),
        schema=SCHEMA,
    )

    op.create_table(
        "safety",
        _required("scope", sa.Text),
        _required("state", sa.Text),
        _required("since", INSTANT),
        _required("by_whom", sa.Text),
        _required("why", sa.Text),
        sa.PrimaryKeyConstraint("scope", name="safety_pkey"),
        _check("safety", "state", "state IN ('NORMAL', 'THROTTLED', 'HALTED')"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("safety", "blocks", "transactions", "errors", "order_events", "orders"):
        op.drop_table(table, schema=SCHEMA)


def _required(name: str, kind: object, **kwargs: object) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=False, **kwargs)  # type: ignore[arg-type]


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"{table}_{name}_check"))


def _uint256s(table: str, *names: str) -> list[sa.CheckConstraint]:
    return [_check(table, name, f"{name} BETWEEN 0 AND {UINT256_MAX}") for name in names]


def _index(
    name: str, table: str, columns: list[object], *, where: str | None = None, unique: bool = False
) -> None:
    op.create_index(
        name,
        table,
        columns,  # type: ignore[arg-type]
        schema=SCHEMA,
        unique=unique,
        postgresql_where=None if where is None else sa.text(where),
    )
