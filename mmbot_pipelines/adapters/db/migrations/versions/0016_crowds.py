"""Index what waits for room and what is parked, so that no crowd slows the lane or alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

SCHEMA = "mmbot"
HELD_BACK = "status = 'PROCESSING' AND NOT failed AND reason IS NOT NULL"
PARKED = "failed AND next_attempt_at IS NULL"


def upgrade() -> None:
    reason = sa.text("md5(reason)")
    _index("orders_held_back", ["origin", reason, "number"], HELD_BACK)
    _index("orders_held_back_of_recipient", ["origin", reason, "recipient", "number"], HELD_BACK)
    _index("orders_parked", ["changed_at", "origin", "number"], PARKED)


def downgrade() -> None:
    for name in ("parked", "held_back_of_recipient", "held_back"):
        op.drop_index(f"orders_{name}", "orders", schema=SCHEMA)


def _index(name: str, columns: list[object], where: str) -> None:
    op.create_index(
        name,
        "orders",
        columns,  # type: ignore[arg-type]
        schema=SCHEMA,
        postgresql_where=sa.text(where),
    )
