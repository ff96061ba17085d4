"""Count an order's lost claims since a person last took it up."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = "mmbot"


def upgrade() -> None:
    count = sa.Column("lost_claims", sa.Integer, nullable=False, server_default="0")
    op.add_column("orders", count, schema=SCHEMA)
    name = op.f("orders_lost_claims_check")
    op.create_check_constraint(name, "orders", "lost_claims >= 0", schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("orders", "lost_claims", schema=SCHEMA)
