"""Keep what a wallet had when its balance was last explained."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

SCHEMA = "mmbot"
_MAX = 2**256 - 1


def _uint256(name: str) -> tuple[sa.Column[Any], sa.CheckConstraint]:
    column = sa.Column(name, sa.Numeric(78, 0), nullable=False)
    fits = sa.CheckConstraint(f"{name} BETWEEN 0 AND {_MAX}", name=op.f(f"wallets_{name}_check"))
    return column, fits


def upgrade() -> None:
    op.create_table(
        "wallets",
        *_uint256("chain_id"),
        sa.Column("address", sa.Text, nullable=False),
        *_uint256("nonce"),
        *_uint256("balance"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "address", name=op.f("wallets_pkey")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("wallets", schema=SCHEMA)
