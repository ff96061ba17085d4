"""Keep the block of the escrow's payment and whether it is final; and what a claim was to cost."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = "mmbot"
UINT256_MAX = 2**256 - 1
ADDED = ("settle_block_number", "settle_block_hash", "settle_final", "claim_cost")


def upgrade() -> None:
    for name in ("settle_block_number", "claim_cost"):
        fits = sa.CheckConstraint(
            f"{name} BETWEEN 0 AND {UINT256_MAX}", name=op.f(f"orders_{name}_check")
        )
        op.add_column("orders", sa.Column(name, sa.Numeric(78, 0), fits), schema=SCHEMA)
    op.add_column("orders", sa.Column("settle_block_hash", sa.Text), schema=SCHEMA)
    final = sa.Column("settle_final", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("orders", final, schema=SCHEMA)
    # What was completed long ago is final; the rest is in no block before the order's own.
    op.execute(
        "UPDATE mmbot.orders SET"
        " settle_final = changed_at < now() - interval '2 days',"
        " settle_block_number = block_number, settle_block_hash = block_hash"
        " WHERE status = 'COMPLETED'"
    )
    op.create_index(
        "orders_settled",
        "orders",
        ["origin", "settle_block_number"],
        schema=SCHEMA,
        postgresql_where=sa.text("status = 'COMPLETED' AND NOT settle_final"),
    )


def downgrade() -> None:
    op.drop_index("orders_settled", "orders", schema=SCHEMA)
    for name in ADDED:
        op.drop_column("orders", name, schema=SCHEMA)
