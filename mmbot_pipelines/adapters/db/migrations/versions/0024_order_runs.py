"""Which run works on which order: runs of several orders carry no tag for each."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

SCHEMA = "mmbot"
NAME = "order_runs"


def upgrade() -> None:
    op.create_table(
        NAME,
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("order_runs_by_time", NAME, ["at"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table(NAME, schema=SCHEMA)
