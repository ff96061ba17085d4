"""Keep how far the transaction of a payment was searched for, so that the next run goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

SCHEMA = "mmbot"
UINT256_MAX = 2**256 - 1


def upgrade() -> None:
    op.add_column("orders", sa.Column("searched_below", sa.Numeric(78, 0)), schema=SCHEMA)
    op.create_check_constraint(
        op.f("orders_searched_below_check"),
        "orders",
        f"searched_below BETWEEN 0 AND {UINT256_MAX}",
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_column("orders", "searched_below", schema=SCHEMA)
