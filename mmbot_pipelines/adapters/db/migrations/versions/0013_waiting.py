"""Keep since when an order has waited, and find the errors of one run."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = "mmbot"


def upgrade() -> None:
    since = sa.Column("waiting_since", sa.DateTime(timezone=True))
    op.add_column("orders", since, schema=SCHEMA)
    op.create_index("errors_of_run", "errors", ["run_id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index("errors_of_run", "errors", schema=SCHEMA)
    op.drop_column("orders", "waiting_since", schema=SCHEMA)
