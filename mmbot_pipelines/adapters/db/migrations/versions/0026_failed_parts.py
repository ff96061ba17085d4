"""Keep which parts of a mined transaction did nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

SCHEMA = "mmbot"
TABLE = "transaction_parts"


def upgrade() -> None:
    failed = sa.Column("failed", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column(TABLE, failed, schema=SCHEMA)


def downgrade() -> None:
    op.drop_column(TABLE, "failed", schema=SCHEMA)
