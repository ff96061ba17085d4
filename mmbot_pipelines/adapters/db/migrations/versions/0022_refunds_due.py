"""Ask less and less often for what an old message gave back."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

SCHEMA = "mmbot"
INDEX = "transactions_unrefunded"
UNKNOWN = "state = 'MINED' AND purpose = 'repay' AND refund IS NULL"


def upgrade() -> None:
    due = sa.Column(
        "refund_due_at", sa.DateTime(timezone=True), nullable=False, server_default="epoch"
    )
    op.add_column("transactions", due, schema=SCHEMA)
    _index("refund_due_at", "id")


def downgrade() -> None:
    _index("id")
    op.drop_column("transactions", "refund_due_at", schema=SCHEMA)


def _index(*columns: str) -> None:
    op.drop_index(INDEX, "transactions", schema=SCHEMA)
    op.create_index(
        INDEX,
        "transactions",
        [sa.text("split_part(subject, ':', 1)"), *columns],
        schema=SCHEMA,
        postgresql_where=sa.text(UNKNOWN),
    )
