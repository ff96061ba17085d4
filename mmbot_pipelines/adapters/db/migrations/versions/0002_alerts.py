"""Create the alerts: what each channel was told, and what it is still to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "mmbot"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("lasting", sa.Boolean, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("told_at", INSTANT),
        sa.Column("gone_at", INSTANT),
        sa.Column("over_at", INSTANT),
        sa.Column("taken_at", INSTANT),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("alerts_pkey")),
        sa.CheckConstraint(
            "severity IN ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW')",
            name=op.f("alerts_severity_check"),
        ),
        sa.CheckConstraint("tries >= 0", name=op.f("alerts_tries_check")),
        schema=SCHEMA,
    )
    op.create_index(
        "alerts_open",
        "alerts",
        ["channel", "key"],
        schema=SCHEMA,
        unique=True,
        postgresql_where=sa.text("over_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("alerts", schema=SCHEMA)
