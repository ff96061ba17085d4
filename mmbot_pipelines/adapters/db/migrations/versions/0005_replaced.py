"""Let a transaction be replaced by another one of ours that was mined at its nonce."""

from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = "mmbot"
BEFORE = "'STORED', 'MINED', 'REVERTED', 'LOST'"


def upgrade() -> None:
    _allow(f"{BEFORE}, 'REPLACED'")
    # rows decided in newer blocks than the finality's are looked at again and again
    op.create_index("transactions_by_block", "transactions", ["block_number"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index("transactions_by_block", table_name="transactions", schema=SCHEMA)
    # for the older version such a row is one that can never be mined
    op.execute("UPDATE mmbot.transactions SET state = 'LOST' WHERE state = 'REPLACED'")
    _allow(BEFORE)


def _allow(states: str) -> None:
    name = op.f("transactions_state_check")
    op.drop_constraint(name, "transactions", schema=SCHEMA)
    op.create_check_constraint(name, "transactions", f"state IN ({states})", schema=SCHEMA)
