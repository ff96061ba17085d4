"""Give stored values and columns their names of the field: errors, reasons, alerts.

Rows are read and written by ranges of ids, so that no statement touches a whole large table.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

SCHEMA = "mmbot"
_RANGE = 50_000  # ids of one statement

# names of error classes: `errors.kind`, the labels of their sums, and how reasons begin
KINDS = {
    "TakenBack": "Reorged",
    "NotShown": "PaymentNotVisible",
    "NoSuchBlock": "OrderOrphaned",
    "Lost": "NonceTaken",
    "RevertForeseen": "SimulationReverted",
    "RegistryDisagrees": "RegistryAbiMismatch",
    "EscrowDisagrees": "EscrowMismatch",
    "NotDecided": "InvalidDecision",
    "TornByReorg": "ReorgDuringRead",
    "BadAnswer": "InvalidResponse",
    "AnswerTooLarge": "ResponseTooLarge",
    "OutOfFunds": "InsufficientFunds",
    "ClaimTooDear": "ClaimUnprofitable",
    "MessageTooDear": "MessageFeeTooHigh",
    "FloorReached": "BalanceFloorReached",
}
ALERTS = {
    "unclaimed": "claims-overdue",
    "parked-crowd": "parked-many",
    "undelivered-crowd": "undelivered-many",
}
COLUMNS = {"told_at": "sent_at", "gone_at": "resolved_at", "over_at": "closed_at"}
# of an order in no block, in place of the block's hash
HASHES = {"taken back": "orphaned"}


# how reasons of waiting orders, and of safety states that ended, begin
REASONS = (
    ("^waits: no room under (MMBOT_[A-Z_]+) now$", r"waiting: \1 reached"),
    ("^waits: ", "waiting: "),
)
ENDED = (("^over: ", "resolved: "),)
# Others that begin so stay: some did before, and the next look at an order writes its own again.
OLD_REASONS = (("^waiting: (MMBOT_[A-Z_]+) reached$", r"waits: no room under \1 now"),)
OLD_ENDED = (("^resolved: ", "over: "),)


def upgrade() -> None:
    for old, new in COLUMNS.items():
        op.alter_column("alerts", old, new_column_name=new, schema=SCHEMA)
    _rename(KINDS, ALERTS, HASHES)
    _replace(REASONS, ENDED)


def downgrade() -> None:
    for old, new in COLUMNS.items():
        op.alter_column("alerts", new, new_column_name=old, schema=SCHEMA)
    _rename(*({new: old for old, new in names.items()} for names in (KINDS, ALERTS, HASHES)))
    _replace(OLD_REASONS, OLD_ENDED)


def _rename(kinds: dict[str, str], alerts: dict[str, str], hashes: dict[str, str]) -> None:
    # A class's name ends at its colon, so that no name is taken for a longer one's beginning.
    reason = f"^({'|'.join(kinds)}): "
    for statement in (
        "UPDATE mmbot.errors t SET kind = n.new FROM names n"
        " WHERE t.id BETWEEN :first AND :last AND t.kind = n.old",
        "UPDATE mmbot.tallies t SET labels[2] = n.new FROM names n"
        " WHERE t.id BETWEEN :first AND :last AND t.name = 'failures' AND t.labels[2] = n.old",
        "UPDATE mmbot.order_events t SET reason = n.new || substr(t.reason, length(n.old) + 1)"
        " FROM names n WHERE t.id BETWEEN :first AND :last AND t.reason ~ :reason"
        " AND split_part(t.reason, ':', 1) = n.old",
        "UPDATE mmbot.safety_events t SET why = n.new || substr(t.why, length(n.old) + 1)"
        " FROM names n WHERE t.id BETWEEN :first AND :last AND t.why ~ :reason"
        " AND split_part(t.why, ':', 1) = n.old",
    ):
        _by_ranges(statement, kinds, {"reason": reason} if ":reason" in statement else {})
    # Orders have no id of their own; those with such a reason are few: what failed or is halted.
    for table, column in (("orders", "reason"), ("safety", "why")):
        _execute(
            f"UPDATE mmbot.{table} t SET {column} = n.new || substr(t.{column}, length(n.old) + 1)"  # noqa: S608 - constants
            f" FROM names n WHERE t.{column} ~ :reason AND split_part(t.{column}, ':', 1) = n.old",
            kinds,
            {"reason": reason},
        )
    _execute(
        "UPDATE mmbot.orders t SET block_hash = n.new FROM names n WHERE t.block_hash = n.old",
        hashes,
        {},
    )
    _execute("UPDATE mmbot.alerts t SET key = n.new FROM names n WHERE t.key = n.old", alerts, {})


def _replace(reasons: Sequence[tuple[str, str]], ended: Sequence[tuple[str, str]]) -> None:
    # An alert of orders that wait has its reason's hash in its key: it stays the same alert.
    for pattern, new in reasons:
        op.get_bind().execute(_ALERT_KEYS, {"pattern": pattern, "new": new})
        _regexp("orders", "reason", pattern, new)
        _regexp_by_ranges("order_events", "reason", pattern, new)
    for pattern, new in ended:
        _regexp("safety", "why", pattern, new)
        _regexp_by_ranges("safety_events", "why", pattern, new)


_ALERT_KEYS = sa.text("""
    WITH waiting AS (
        SELECT DISTINCT reason, regexp_replace(reason, :pattern, :new) AS renamed
        FROM mmbot.orders WHERE reason ~ :pattern
    )
    UPDATE mmbot.alerts a
    SET key = 'waiting ' || left(encode(sha256(convert_to(w.renamed, 'UTF8')), 'hex'), 12)
    FROM waiting w
    WHERE a.key = 'waiting ' || left(encode(sha256(convert_to(w.reason, 'UTF8')), 'hex'), 12)
""")


def _regexp(table: str, column: str, pattern: str, new: str, only: str = "true") -> None:
    op.get_bind().execute(
        sa.text(
            f"UPDATE mmbot.{table} SET {column} = regexp_replace({column}, :pattern, :new)"  # noqa: S608 - constants
            f" WHERE {only} AND {column} ~ :pattern"
        ),
        {"pattern": pattern, "new": new},
    )


def _regexp_by_ranges(table: str, column: str, pattern: str, new: str) -> None:
    for first, last in _ranges(f"mmbot.{table}"):
        _regexp(table, column, pattern, new, f"id BETWEEN {first} AND {last}")


def _by_ranges(statement: str, names: dict[str, str], given: dict[str, str]) -> None:
    for first, last in _ranges(statement.split()[1]):
        _execute(statement, names, given | {"first": first, "last": last})


def _ranges(table: str) -> Iterator[tuple[int, int]]:
    last = op.get_bind().scalar(sa.text(f"SELECT max(id) FROM {table}")) or 0  # noqa: S608 - constant
    for first in range(0, last + 1, _RANGE):
        yield first, first + _RANGE - 1


def _execute(statement: str, names: dict[str, str], given: dict[str, object]) -> None:
    with_names = "WITH names (old, new) AS (SELECT * FROM unnest(:old, :new)) "
    bound = sa.text(with_names + statement).bindparams(
        sa.bindparam("old", type_=sa.ARRAY(sa.Text)), sa.bindparam("new", type_=sa.ARRAY(sa.Text))
    )
    op.get_bind().execute(bound, {"old": list(names), "new": list(names.values()), **given})
