"""Keep the block at which a wallet's balance was explained: a reorg may take it back."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

SCHEMA = "mmbot"
UINT256_MAX = 2**256 - 1


def upgrade() -> None:
    fits = sa.CheckConstraint(
        f"block_number BETWEEN 0 AND {UINT256_MAX}", name=op.f("wallets_block_number_check")
    )
    op.add_column("wallets", sa.Column("block_number", sa.Numeric(78, 0), fits), schema=SCHEMA)
    op.add_column("wallets", sa.Column("block_hash", sa.Text), schema=SCHEMA)


def downgrade() -> None:
    for name in ("block_hash", "block_number"):
        op.drop_column("wallets", name, schema=SCHEMA)
