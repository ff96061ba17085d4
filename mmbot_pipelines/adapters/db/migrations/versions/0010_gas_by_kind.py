"""Find the newest receipts of one kind and origin, which gas is estimated from."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = "mmbot"
NAME = "transactions_mined_of_kind"


def upgrade() -> None:
    op.create_index(
        NAME,
        "transactions",
        ["purpose", sa.text("split_part(subject, ':', 1)"), "id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'MINED'"),
    )


def downgrade() -> None:
    op.drop_index(NAME, table_name="transactions", schema=SCHEMA)
