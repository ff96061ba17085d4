"""Index healthy orders by how long they have stayed in their state."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

SCHEMA = "mmbot"
HEALTHY = "NOT failed AND status NOT IN ('COMPLETED', 'DROPPED')"


def upgrade() -> None:
    op.create_index(
        "orders_healthy",
        "orders",
        ["status", "changed_at"],
        schema=SCHEMA,
        postgresql_where=sa.text(HEALTHY),
    )


def downgrade() -> None:
    op.drop_index("orders_healthy", "orders", schema=SCHEMA)
