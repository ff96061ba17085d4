"""Keep what a claim under way goes by: a message's hash, or a prover's task."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "mmbot"


def upgrade() -> None:
    op.add_column("orders", sa.Column("claim_ref", sa.Text), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("orders", "claim_ref", schema=SCHEMA)
