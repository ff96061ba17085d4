"""Count the messages of claims that are calls of a batch, and ask for what they gave back."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

SCHEMA = "mmbot"
INDEX = "transactions_unrefunded"
UNKNOWN = "state = 'MINED' AND {} AND refund IS NULL"
CLAIMS = "(purpose = 'repay' OR parts > 0)"

TALLY = """
CREATE OR REPLACE FUNCTION mmbot.tally_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin text := split_part(NEW.subject, ':', 1);
    back numeric := coalesce(NEW.refund, 0) - coalesce(OLD.refund, 0);
    paid numeric := CASE WHEN NEW.purpose = 'repay' THEN NEW.call_value ELSE 0 END;
BEGIN
    IF back > 0 THEN PERFORM mmbot.tally('refunds', ARRAY[origin], back); END IF;
    IF NEW.state = 'MINED' AND OLD.state <> 'MINED' THEN
        {of_parts}
        IF paid > 0 THEN PERFORM mmbot.tally('messages', ARRAY[origin], paid); END IF;
    END IF;
    RETURN NULL;
END $$
"""
OF_PARTS = """
        IF NEW.parts > 0 THEN
            SELECT coalesce(sum(p.value), 0) INTO paid FROM mmbot.transaction_parts p
            WHERE p.transaction_id = NEW.id AND p.purpose = 'repay' AND NOT p.failed;
        END IF;
"""


def upgrade() -> None:
    _index(CLAIMS)
    op.execute(TALLY.format(of_parts=OF_PARTS))


def downgrade() -> None:
    op.execute(TALLY.format(of_parts=""))
    _index("purpose = 'repay'")


def _index(claims: str) -> None:
    op.drop_index(INDEX, "transactions", schema=SCHEMA)
    op.create_index(
        INDEX,
        "transactions",
        [sa.text("split_part(subject, ':', 1)"), "refund_due_at", "id"],
        schema=SCHEMA,
        postgresql_where=sa.text(UNKNOWN.format(claims)),
    )
