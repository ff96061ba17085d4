"""Index what every tick asks in the order in which it is read, and keep the exposure as a sum.

So that no crowd slows a tick: orders that wait for their turn, paid ones, parked ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

SCHEMA = "mmbot"
OPEN = "status NOT IN ('COMPLETED', 'DROPPED')"
PARKED = "failed AND next_attempt_at IS NULL"
PAID = "('FULFILLED', 'PROVING', 'PROVED')"
NOT_FINAL = "status = 'COMPLETED' AND NOT settle_final"
TO_PAY = "status IN ('PENDING', 'PROCESSING') AND NOT failed"
TO_CLAIM = "status = 'FULFILLED' AND NOT failed"
CLAIMED = "(status = 'PROVED' OR status = 'PROVING' AND claim_ref IS NOT NULL)"
UNCLAIMED = (
    "(status = 'FULFILLED' OR status = 'PROVING' AND claim_ref IS NULL)"
    " AND (NOT failed OR next_attempt_at IS NOT NULL)"
)
WAITING_HEALTHY = (
    "status IN ('PENDING', 'PROCESSING', 'FULFILLED') AND NOT failed AND reason IS NOT NULL"
)

HELD_BACK = "status = 'PROCESSING' AND NOT failed AND reason IS NOT NULL"

BY_FEE = ["origin", sa.text("fee DESC"), sa.text("coalesce(asked_at, changed_at)"), "number"]
BY_TURN = ["origin", sa.text("asked_at NULLS FIRST"), "number"]
BY_CHANGE = ["origin", "changed_at", "number"]
OLDEST_CHANGE = ["changed_at", "origin", "number"]

INDEXES: dict[str, tuple[list[object], str]] = {
    "to_pay": (list(BY_FEE), f"{TO_PAY} AND waiting_since IS NULL"),
    "to_pay_that_wait": (list(BY_TURN), f"{TO_PAY} AND waiting_since IS NOT NULL"),
    "to_claim": (list(BY_FEE), f"{TO_CLAIM} AND waiting_since IS NULL"),
    "to_claim_that_wait": (list(BY_TURN), f"{TO_CLAIM} AND waiting_since IS NOT NULL"),
    "settled_lately": (list(BY_CHANGE), NOT_FINAL),
    "in_blocks": (["origin", "block_number", "number"], OPEN),
    "claimed": (list(BY_CHANGE), CLAIMED),
    "unclaimed": (list(BY_CHANGE), UNCLAIMED),
    "by_reason": (["origin", sa.text("md5(reason)"), "number"], WAITING_HEALTHY),
    "parked_paid": (list(OLDEST_CHANGE), f"{PARKED} AND status IN {PAID}"),
    "parked_unpaid": (list(OLDEST_CHANGE), f"{PARKED} AND status NOT IN {PAID}"),
}
REPLACED: dict[str, tuple[list[object], str]] = {
    "to_ask": (["status", "asked_at"], f"NOT failed AND {OPEN}"),
    "parked": (list(OLDEST_CHANGE), PARKED),
    "held_back": (["origin", sa.text("md5(reason)"), "number"], HELD_BACK),
}

# From the moment a transfer is signed its amount may be gone, until the escrow pays.
OUT = "('TRANSFERRING', 'FULFILLED', 'PROVING', 'PROVED')"

COUNTED = """
    IF was IS DISTINCT FROM now_is THEN
        IF was IS NOT NULL THEN PERFORM mmbot.tally('orders', was, -1); END IF;
        IF now_is IS NOT NULL THEN PERFORM mmbot.tally('orders', now_is, 1); END IF;
    END IF;
"""
OUT_TOO = f"""
    IF TG_OP <> 'INSERT' AND OLD.status IN {OUT} THEN
        was_out := OLD.amount;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status IN {OUT} THEN
        is_out := NEW.amount;
    END IF;
    IF was_out <> is_out THEN
        PERFORM mmbot.tally('exposure', ARRAY[coalesce(NEW.origin, OLD.origin)], is_out - was_out);
    END IF;
"""

SO_FAR = f"""
INSERT INTO mmbot.tallies (name, labels, value)
SELECT 'exposure', ARRAY[origin], sum(amount) FROM mmbot.orders WHERE status IN {OUT}
GROUP BY origin
"""  # noqa: S608 - constants


def upgrade() -> None:
    for name, (columns, where) in INDEXES.items():
        _index(f"orders_{name}", "orders", columns, where)
    for name in REPLACED:
        op.drop_index(f"orders_{name}", "orders", schema=SCHEMA)
    _index(
        "transactions_in_vain",
        "transactions",
        ["state", "stored_at"],
        "state IN ('LOST', 'REVERTED')",
    )
    op.execute(_tally_orders(COUNTED + OUT_TOO))
    _trigger("status, failed, next_attempt_at, amount")
    # The trigger blocks other writers until all of this is committed.
    op.execute(SO_FAR)


def downgrade() -> None:
    op.execute(_tally_orders(COUNTED))
    _trigger("status, failed, next_attempt_at")
    op.execute("DELETE FROM mmbot.tallies WHERE name = 'exposure'")
    op.drop_index("transactions_in_vain", "transactions", schema=SCHEMA)
    for name, (columns, where) in REPLACED.items():
        _index(f"orders_{name}", "orders", columns, where)
    for name in INDEXES:
        op.drop_index(f"orders_{name}", "orders", schema=SCHEMA)


def _tally_orders(does: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION mmbot.tally_orders() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was text[];
    now_is text[];
    was_out numeric := 0;
    is_out numeric := 0;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        was := ARRAY[OLD.origin, OLD.status, OLD.condition];
    END IF;
    IF TG_OP <> 'DELETE' THEN
        now_is := ARRAY[NEW.origin, NEW.status, NEW.condition];
    END IF;
    {does}
    RETURN NULL;
END $$
"""


def _trigger(columns: str) -> None:
    op.execute("DROP TRIGGER tally ON mmbot.orders")
    op.execute(
        f"CREATE TRIGGER tally AFTER INSERT OR DELETE OR UPDATE OF {columns} ON mmbot.orders"
        " FOR EACH ROW EXECUTE FUNCTION mmbot.tally_orders()"
    )


def _index(name: str, table: str, columns: list[object], where: str) -> None:
    op.create_index(
        name,
        table,
        columns,  # type: ignore[arg-type]
        schema=SCHEMA,
        postgresql_where=sa.text(where),
    )
