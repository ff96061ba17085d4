"""Keep what a claim's message did not use and the L2 gave back to our wallet, in wei."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

SCHEMA = "mmbot"
NAME = "claim_refund"


def upgrade() -> None:
    fits = sa.CheckConstraint(
        f"{NAME} BETWEEN 0 AND {2**256 - 1}", name=op.f(f"orders_{NAME}_check")
    )
    op.add_column("orders", sa.Column(NAME, sa.Numeric(78, 0), fits), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("orders", NAME, schema=SCHEMA)
