"""Give the safety states a history, and find the newest steps and transfers by their time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "mmbot"
INSTANT = sa.DateTime(timezone=True)
STATES = "'NORMAL', 'THROTTLED', 'HALTED'"
TIMES = {"order_events": "at", "errors": "at", "transactions": "stored_at"}


def upgrade() -> None:
    _add("causes", sa.Text, value="")
    _add("version", sa.Integer, value="0")
    for name in ("seen_at", "resumed_at"):
        op.add_column("safety", sa.Column(name, INSTANT), schema=SCHEMA)
    op.create_check_constraint(
        op.f("safety_version_check"), "safety", "version >= 0", schema=SCHEMA
    )
    op.create_table(
        "safety_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by_whom", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("safety_events_pkey")),
        *(
            sa.CheckConstraint(f"{name} IN ({STATES})", name=op.f(f"safety_events_{name}_check"))
            for name in ("before", "after")
        ),
        schema=SCHEMA,
    )
    for table, column in TIMES.items():
        op.create_index(f"{table}_by_time", table, [column], schema=SCHEMA)


def downgrade() -> None:
    for table in TIMES:
        op.drop_index(f"{table}_by_time", table, schema=SCHEMA)
    op.drop_table("safety_events", schema=SCHEMA)
    op.drop_constraint(op.f("safety_version_check"), "safety", schema=SCHEMA)
    for name in ("causes", "version", "seen_at", "resumed_at"):
        op.drop_column("safety", name, schema=SCHEMA)


def _add(name: str, kind: type[sa.Text | sa.Integer], *, value: str) -> None:
    """Add a column that rows of an older version get a value in."""
    column = sa.Column(name, kind, nullable=False, server_default=value)
    op.add_column("safety", column, schema=SCHEMA)
    op.alter_column("safety", name, server_default=None, schema=SCHEMA)
