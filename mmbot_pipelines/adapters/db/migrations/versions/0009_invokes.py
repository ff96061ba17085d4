"""Store the transactions of our Starknet account before they are sent."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

SCHEMA = "mmbot"
UINT256_MAX = 2**256 - 1
STATES = ("STORED", "MINED", "REVERTED", "LOST", "REPLACED")


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"invokes_{name}_check"))


def upgrade() -> None:
    listed = ", ".join(f"'{state}'" for state in STATES)
    op.create_table(
        "invokes",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("chain_id", sa.Numeric(78, 0), nullable=False),
        sa.Column("wallet", sa.Text, nullable=False),
        sa.Column("nonce", sa.Numeric(78, 0), nullable=False),
        sa.Column("bump", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("subjects", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("invokes_pkey")),
        sa.UniqueConstraint("hash", name=op.f("invokes_hash_key")),
        sa.UniqueConstraint(
            "chain_id",
            "wallet",
            "nonce",
            "bump",
            name=op.f("invokes_chain_id_wallet_nonce_bump_key"),
        ),
        _check("chain_id", f"chain_id BETWEEN 0 AND {UINT256_MAX}"),
        _check("nonce", f"nonce BETWEEN 0 AND {UINT256_MAX}"),
        _check("bump", "bump >= 0"),
        _check("state", f"state IN ({listed})"),
        schema=SCHEMA,
    )
    op.create_index(
        "invokes_undecided",
        "invokes",
        ["nonce"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'STORED'"),
    )
    op.create_index(
        "invokes_reverted",
        "invokes",
        ["subjects"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'REVERTED'"),
    )


def downgrade() -> None:
    op.drop_table("invokes", schema=SCHEMA)
