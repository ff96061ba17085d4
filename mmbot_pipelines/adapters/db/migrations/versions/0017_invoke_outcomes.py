"""Keep what our transactions on Starknet cost, and which were given up as too high."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

SCHEMA = "mmbot"
UINT256_MAX = 2**256 - 1

# What is executed again after a reorg counts again, for a counter must never fall.
FEES = """
CREATE FUNCTION mmbot.tally_invokes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    paid numeric := coalesce(NEW.fee, 0) - coalesce(OLD.fee, 0);
BEGIN
    IF paid > 0 THEN PERFORM mmbot.tally('starknet_fees', ARRAY[]::text[], paid); END IF;
    RETURN NULL;
END $$
"""


def _add(name: str) -> None:
    fits = sa.CheckConstraint(
        f"{name} BETWEEN 0 AND {UINT256_MAX}", name=op.f(f"invokes_{name}_check")
    )
    op.add_column("invokes", sa.Column(name, sa.Numeric(78, 0), fits), schema=SCHEMA)


def _index(name: str, columns: list[str], where: str | None = None, **kind: Any) -> None:
    only = None if where is None else sa.text(where)
    op.create_index(
        f"invokes_{name}", "invokes", columns, schema=SCHEMA, postgresql_where=only, **kind
    )


def upgrade() -> None:
    _add("fee")
    _add("ahead_of")
    op.drop_index("invokes_reverted", "invokes", schema=SCHEMA)
    _index("subjects", ["subjects"], postgresql_using="gin")
    _index("too_high", ["nonce"], "ahead_of IS NOT NULL")
    _index("unpriced", ["id"], "fee IS NULL AND state IN ('MINED', 'REVERTED')")
    _index("by_time", ["stored_at"])
    op.execute(FEES)
    op.execute(
        "CREATE TRIGGER tally AFTER UPDATE OF fee ON mmbot.invokes FOR EACH ROW"
        " EXECUTE FUNCTION mmbot.tally_invokes()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tally ON mmbot.invokes")
    op.execute("DROP FUNCTION mmbot.tally_invokes")
    for name in ("by_time", "unpriced", "too_high", "subjects"):
        op.drop_index(f"invokes_{name}", "invokes", schema=SCHEMA)
    op.drop_column("invokes", "ahead_of", schema=SCHEMA)
    op.drop_column("invokes", "fee", schema=SCHEMA)
    op.create_index(
        "invokes_reverted",
        "invokes",
        ["subjects"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'REVERTED'"),
    )
