"""Note which daemons live, so that two at once are found out."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "mmbot"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "daemons",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("daemons_pkey")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("daemons", schema=SCHEMA)
