"""Keep what messages that failed on the L2 gave back, and sum refunds and messages' prices."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

SCHEMA = "mmbot"
NAME = "refund"

# What is counted again after a reorg counts again, for a counter must never fall.
SETTLED = """
CREATE FUNCTION mmbot.tally_claim_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    back numeric := coalesce(NEW.claim_refund, 0) - coalesce(OLD.claim_refund, 0);
BEGIN
    IF back > 0 THEN PERFORM mmbot.tally('refunds', ARRAY[NEW.origin], back); END IF;
    RETURN NULL;
END $$
"""
FAILED = """
CREATE FUNCTION mmbot.tally_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin text := split_part(NEW.subject, ':', 1);
    back numeric := coalesce(NEW.refund, 0) - coalesce(OLD.refund, 0);
BEGIN
    IF back > 0 THEN PERFORM mmbot.tally('refunds', ARRAY[origin], back); END IF;
    IF NEW.state = 'MINED' AND OLD.state <> 'MINED' AND NEW.purpose = 'repay' THEN
        PERFORM mmbot.tally('messages', ARRAY[origin], NEW.call_value);
    END IF;
    RETURN NULL;
END $$
"""
SO_FAR = """
INSERT INTO mmbot.tallies (name, labels, value)
SELECT 'refunds', ARRAY[origin], sum(claim_refund) FROM mmbot.orders
WHERE claim_refund > 0 GROUP BY origin
UNION ALL SELECT 'messages', ARRAY[split_part(subject, ':', 1)] AS labels, sum(call_value)
FROM mmbot.transactions WHERE state = 'MINED' AND purpose = 'repay' GROUP BY labels
"""


def upgrade() -> None:
    fits = sa.CheckConstraint(
        f"{NAME} BETWEEN 0 AND {2**256 - 1}", name=op.f(f"transactions_{NAME}_check")
    )
    op.add_column("transactions", sa.Column(NAME, sa.Numeric(78, 0), fits), schema=SCHEMA)
    op.create_index(
        "transactions_unrefunded",
        "transactions",
        [sa.text("split_part(subject, ':', 1)"), "id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'MINED' AND purpose = 'repay' AND refund IS NULL"),
    )
    op.execute(SETTLED)
    op.execute(FAILED)
    op.execute(
        "CREATE TRIGGER tally_refund AFTER UPDATE OF claim_refund ON mmbot.orders FOR EACH ROW"
        " WHEN (NEW.claim_refund IS DISTINCT FROM OLD.claim_refund)"
        " EXECUTE FUNCTION mmbot.tally_claim_refund()"
    )
    op.execute(
        "CREATE TRIGGER tally_refund AFTER UPDATE OF state, refund ON mmbot.transactions"
        " FOR EACH ROW EXECUTE FUNCTION mmbot.tally_refund()"
    )
    op.execute(SO_FAR)


def downgrade() -> None:
    for table, function in (("transactions", "tally_refund"), ("orders", "tally_claim_refund")):
        op.execute(f"DROP TRIGGER tally_refund ON mmbot.{table}")
        op.execute(f"DROP FUNCTION mmbot.{function}")
    op.drop_index("transactions_unrefunded", "transactions", schema=SCHEMA)
    op.drop_column("transactions", NAME, schema=SCHEMA)
