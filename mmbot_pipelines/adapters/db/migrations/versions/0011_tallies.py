"""Keep sums over whole tables up to date as rows change, and index what every tick asks.

Each trigger appends a small row to `tallies`, in the transaction of the change itself, so
that nobody waits for a common counter; now and then they are folded into one row a sum.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0011"
down_revision = "0010"

SCHEMA = "mmbot"
OPEN = "status NOT IN ('COMPLETED', 'DROPPED')"
CONDITION = (
    "CASE WHEN NOT failed THEN 'healthy' WHEN next_attempt_at IS NULL THEN 'parked'"
    " ELSE 'failed' END"
)
# seconds, the upper bounds of the histograms
BOUNDS = "1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400"

TALLY = """
CREATE FUNCTION mmbot.tally(named text, labelled text[], added numeric) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mmbot.tallies (name, labels, value) VALUES (named, labelled, added);
    IF random() < 0.002 THEN
        WITH folded AS (
            DELETE FROM mmbot.tallies WHERE id IN (
                SELECT id FROM mmbot.tallies ORDER BY id LIMIT 20000 FOR UPDATE SKIP LOCKED
            ) RETURNING name, labels, value
        )
        INSERT INTO mmbot.tallies (name, labels, value)
        SELECT name, labels, sum(value) FROM folded GROUP BY name, labels;
    END IF;
END $$
"""

ORDERS = """
CREATE FUNCTION mmbot.tally_orders() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was text[];
    now_is text[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        was := ARRAY[OLD.origin, OLD.status, OLD.condition];
    END IF;
    IF TG_OP <> 'DELETE' THEN
        now_is := ARRAY[NEW.origin, NEW.status, NEW.condition];
    END IF;
    IF was IS DISTINCT FROM now_is THEN
        IF was IS NOT NULL THEN PERFORM mmbot.tally('orders', was, -1); END IF;
        IF now_is IS NOT NULL THEN PERFORM mmbot.tally('orders', now_is, 1); END IF;
    END IF;
    RETURN NULL;
END $$
"""

# Only the first time that an order comes there, so that what a reorg repeats counts once.
EVENTS = f"""
CREATE FUNCTION mmbot.tally_order_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin text := split_part(NEW.key, ':', 1);
    way text := CASE NEW.after WHEN 'COMPLETED' THEN 'repayment' ELSE 'transfer' END;
    took numeric;
    bound int;
BEGIN
    IF EXISTS (
        SELECT FROM mmbot.order_events e
        WHERE e.key = NEW.key AND e.after = NEW.after AND e.id < NEW.id
    ) THEN
        RETURN NULL;
    END IF;
    SELECT greatest(0, extract(epoch FROM NEW.at - min(e.at))) INTO took
    FROM mmbot.order_events e WHERE e.key = NEW.key AND e.before IS NULL;
    SELECT min(b) INTO bound FROM unnest(ARRAY[{BOUNDS}]) b WHERE b >= took;
    PERFORM mmbot.tally(way, ARRAY[origin, coalesce(bound::text, '+Inf')], 1);
    PERFORM mmbot.tally(way || '_seconds', ARRAY[origin], took);
    IF NEW.after = 'COMPLETED' THEN
        PERFORM mmbot.tally('fees', ARRAY[origin], (
            SELECT fee FROM mmbot.orders o WHERE o.key = NEW.key
        ));
    END IF;
    RETURN NULL;
END $$
"""  # noqa: S608 - constants

# What is mined again after a reorg counts again, for a counter must never fall.
TRANSACTIONS = """
CREATE FUNCTION mmbot.tally_transactions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    paid numeric := coalesce(NEW.gas_used * NEW.gas_price, 0);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        paid := paid - coalesce(OLD.gas_used * OLD.gas_price, 0);
    ELSIF NEW.bump > 0 THEN
        PERFORM mmbot.tally('replacements', ARRAY[NEW.purpose], 1);
    END IF;
    IF paid > 0 THEN PERFORM mmbot.tally('gas', ARRAY[NEW.purpose], paid); END IF;
    RETURN NULL;
END $$
"""

ERRORS = """
CREATE FUNCTION mmbot.tally_errors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mmbot.tally('failures', ARRAY[NEW.step, NEW.kind], 1);
    RETURN NULL;
END $$
"""

WHEN = {
    "orders": ("INSERT OR DELETE OR UPDATE OF status, failed, next_attempt_at", ""),
    "order_events": ("INSERT", "WHEN (NEW.after IN ('FULFILLED', 'COMPLETED'))"),
    "transactions": ("INSERT OR UPDATE OF gas_used, gas_price", ""),
    "errors": ("INSERT", ""),
}

# Lists rows of `tallies` as the triggers would have written them, had they been there.
SO_FAR = f"""
WITH ends AS (
    SELECT key, min(at) FILTER (WHERE before IS NULL) AS found,
        min(at) FILTER (WHERE after = 'FULFILLED') AS paid,
        min(at) FILTER (WHERE after = 'COMPLETED') AS repaid
    FROM mmbot.order_events GROUP BY key
), way AS (
    SELECT o.origin, o.fee, w.name, greatest(0, extract(epoch FROM w.there - e.found)) AS took
    FROM ends e JOIN mmbot.orders o ON o.key = e.key,
        LATERAL (VALUES ('transfer', e.paid), ('repayment', e.repaid)) w (name, there)
    WHERE w.there IS NOT NULL
)
INSERT INTO mmbot.tallies (name, labels, value)
SELECT 'orders', ARRAY[origin, status, condition] AS labels, count(*)::numeric
FROM mmbot.orders GROUP BY labels
UNION ALL SELECT name, ARRAY[origin, coalesce((
    SELECT min(b)::text FROM unnest(ARRAY[{BOUNDS}]) b WHERE b >= took
), '+Inf')] AS labels, count(*) FROM way GROUP BY name, labels
UNION ALL SELECT name || '_seconds', ARRAY[origin], sum(took) FROM way GROUP BY name, origin
UNION ALL SELECT 'fees', ARRAY[origin], sum(fee) FROM way WHERE name = 'repayment' GROUP BY origin
UNION ALL SELECT 'replacements', ARRAY[purpose], count(*)
FROM mmbot.transactions WHERE bump > 0 GROUP BY purpose
UNION ALL SELECT 'gas', ARRAY[purpose], sum(gas_used * gas_price)
FROM mmbot.transactions WHERE gas_used * gas_price > 0 GROUP BY purpose
UNION ALL SELECT 'failures', ARRAY[step, kind], count(*) FROM mmbot.errors GROUP BY step, kind
"""  # noqa: S608 - constants


def upgrade() -> None:
    computed = sa.Column("condition", sa.Text, sa.Computed(CONDITION, persisted=True))
    op.add_column("orders", computed, schema=SCHEMA)
    op.create_table(
        "tallies",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("labels", ARRAY(sa.Text), nullable=False),
        sa.Column("value", sa.Numeric, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tallies_pkey")),
        schema=SCHEMA,
    )
    for function in (TALLY, ORDERS, EVENTS, TRANSACTIONS, ERRORS):
        op.execute(function)
    for table, (change, only) in WHEN.items():
        op.execute(
            f"CREATE TRIGGER tally AFTER {change} ON mmbot.{table} FOR EACH ROW {only}"
            f" EXECUTE FUNCTION mmbot.tally_{table}()"
        )
    # The triggers lock out whoever writes until all of this is committed.
    op.execute(SO_FAR)
    _index("orders_to_ask", "orders", ["status", "asked_at"], f"NOT failed AND {OPEN}")
    _index("orders_failed", "orders", ["changed_at", "origin", "number"], "failed")
    _index(
        "orders_open",
        "orders",
        ["origin", "condition", "block_number"],
        OPEN,
    )
    _index("orders_of_origin", "orders", ["origin", "changed_at", "number"])
    changed = "before IS DISTINCT FROM after"
    _index("order_events_came", "order_events", ["after", "at"], changed)
    _index("errors_of_kind", "errors", ["step", "kind", "at"])


def downgrade() -> None:
    op.drop_index("errors_of_kind", "errors", schema=SCHEMA)
    op.drop_index("order_events_came", "order_events", schema=SCHEMA)
    for name in ("to_ask", "failed", "open", "of_origin"):
        op.drop_index(f"orders_{name}", "orders", schema=SCHEMA)
    for table in WHEN:
        op.execute(f"DROP TRIGGER tally ON mmbot.{table}")
        op.execute(f"DROP FUNCTION mmbot.tally_{table}")
    op.execute("DROP FUNCTION mmbot.tally")
    op.drop_table("tallies", schema=SCHEMA)
    op.drop_column("orders", "condition", schema=SCHEMA)


def _index(name: str, table: str, columns: list[object], where: str | None = None) -> None:
    op.create_index(
        name,
        table,
        columns,  # type: ignore[arg-type]
        schema=SCHEMA,
        postgresql_where=None if where is None else sa.text(where),
    )
