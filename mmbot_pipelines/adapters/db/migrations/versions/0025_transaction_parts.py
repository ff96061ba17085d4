"""Keep what a transaction does for each whom it serves, where they are several."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

SCHEMA = "mmbot"
NAME = "transaction_parts"


def upgrade() -> None:
    op.add_column("transactions", _at_least("transactions", "parts", 0, "0"), schema=SCHEMA)
    op.create_table(
        NAME,
        sa.Column("transaction_id", sa.BigInteger, nullable=False),
        _at_least(NAME, "position", 0),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        _at_least(NAME, "attempt", 1),
        sa.Column(
            "value",
            sa.Numeric(78, 0),
            sa.CheckConstraint(
                f"value BETWEEN 0 AND {2**256 - 1}", name=op.f(f"{NAME}_value_check")
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["mmbot.transactions.id"], name=op.f(f"{NAME}_transaction_id_fkey")
        ),
        sa.PrimaryKeyConstraint("transaction_id", "position", name=op.f(f"{NAME}_pkey")),
        sa.UniqueConstraint(
            "transaction_id",
            "subject",
            "purpose",
            name=op.f(f"{NAME}_transaction_id_subject_purpose_key"),
        ),
        schema=SCHEMA,
    )
    op.create_index(f"{NAME}_of_subject", NAME, ["subject"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table(NAME, schema=SCHEMA)
    op.drop_column("transactions", "parts", schema=SCHEMA)


def _at_least(table: str, name: str, minimum: int, default: str | None = None) -> sa.Column[int]:
    fits = sa.CheckConstraint(f"{name} >= {minimum}", name=op.f(f"{table}_{name}_check"))
    return sa.Column(name, sa.Integer, fits, nullable=False, server_default=default)
