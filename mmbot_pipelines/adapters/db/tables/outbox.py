"""The tables of what we sign: transactions on L1 and invokes on L2s, and the wallets' balances."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    func,
    literal_column,
    or_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.tables.schema import at_least, metadata, one_of, uint256
from mmbot_pipelines.core.outbox import TxState

transactions = Table(
    "transactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    at_least("attempt", 1),
    at_least("bump", 0, server_default="0"),  # how often it was replaced with higher fees
    uint256("chain_id"),
    Column("wallet", Text, nullable=False),
    uint256("nonce"),
    Column("hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("call_to", Text, nullable=False),
    Column("call_data", LargeBinary, nullable=False),
    uint256("call_value"),
    uint256("gas"),
    uint256("fee_base"),
    uint256("fee_priority"),
    uint256("fee_ceiling"),
    Column("stored_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    uint256("block_number", nullable=True),
    Column("block_hash", Text),
    uint256("gas_used", nullable=True),
    uint256("gas_price", nullable=True),
    uint256("refund", nullable=True),
    # when it is asked for, while it is unknown; from the beginning on: at the next look
    Column("refund_due_at", Instant, nullable=False, server_default="epoch"),
    at_least("parts", 0, server_default="0"),  # in `transaction_parts`
    UniqueConstraint("subject", "purpose", "attempt", "bump"),
    UniqueConstraint("chain_id", "wallet", "nonce", "bump"),
    one_of("state", TxState),
    # a receipt is stored whole, and exactly for what was mined
    CheckConstraint(
        "num_nulls(block_number, block_hash, gas_used, gas_price)"
        " = CASE WHEN state IN ('MINED', 'REVERTED') THEN 0 ELSE 4 END",
        name="receipt",
    ),
)
Index(
    "transactions_in_flight",
    transactions.c.nonce,
    postgresql_where=transactions.c.state == TxState.STORED.value,
)
# Of an order's transaction, whose subject is the order's key. Literals, for a bound parameter
# would not be the index's expression.
origin_of_transaction: ColumnElement[str] = func.split_part(
    transactions.c.subject, literal_column("':'"), literal_column("1")
)
Index(
    "transactions_mined_of_kind",
    transactions.c.purpose,
    origin_of_transaction,
    transactions.c.id,
    postgresql_where=transactions.c.state == TxState.MINED.value,
)
# Few, and asked for by every tick of `safety` and `alerts`.
Index(
    "transactions_in_vain",
    transactions.c.state,
    transactions.c.stored_at,
    postgresql_where=transactions.c.state.in_([TxState.LOST.value, TxState.REVERTED.value]),
)
# Whose messages may give something back: claims, and batches, which may hold some.
may_claim: ColumnElement[bool] = or_(
    transactions.c.purpose == literal_column("'repay'"), transactions.c.parts > literal_column("0")
)
Index(
    "transactions_unrefunded",
    origin_of_transaction,
    transactions.c.refund_due_at,
    transactions.c.id,
    postgresql_where=and_(
        transactions.c.state == TxState.MINED.value,
        may_claim,
        transactions.c.refund.is_(None),
    ),
)
Index("transactions_by_time", transactions.c.stored_at)
Index("transactions_by_block", transactions.c.block_number)

EXECUTED = (TxState.MINED.value, TxState.REVERTED.value)

# What a transaction does for each whom it serves. One that serves its subject alone has none here:
# it is stored by one statement, and read without a look at this table.
transaction_parts = Table(
    "transaction_parts",
    metadata,
    Column("transaction_id", BigInteger, ForeignKey(transactions.c.id), primary_key=True),
    at_least("position", 0, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    at_least("attempt", 1),
    uint256("value"),
    Column("failed", Boolean, nullable=False, server_default=false()),  # of what was mined
    UniqueConstraint("transaction_id", "subject", "purpose"),
)
Index("transaction_parts_of_subject", transaction_parts.c.subject)

# of our accounts on L2s: see the port `Invokes`
invokes = Table(
    "invokes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    uint256("chain_id"),
    Column("wallet", Text, nullable=False),
    uint256("nonce"),
    at_least("bump", 0),
    Column("hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("subjects", ARRAY(Text), nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    uint256("fee", nullable=True),  # fri
    uint256("ahead_of", nullable=True),
    UniqueConstraint("chain_id", "wallet", "nonce", "bump"),
    one_of("state", TxState),
)
Index(
    "invokes_undecided",
    invokes.c.nonce,
    postgresql_where=invokes.c.state == TxState.STORED.value,
)
Index("invokes_subjects", invokes.c.subjects, postgresql_using="gin")
Index("invokes_too_high", invokes.c.nonce, postgresql_where=invokes.c.ahead_of.is_not(None))
Index(
    "invokes_unpriced",
    invokes.c.id,
    postgresql_where=and_(invokes.c.fee.is_(None), invokes.c.state.in_(EXECUTED)),
)
Index("invokes_by_time", invokes.c.stored_at)

wallets = Table(
    "wallets",
    metadata,
    uint256("chain_id"),
    Column("address", Text, nullable=False),
    uint256("nonce"),
    uint256("balance"),
    Column("at", Instant, nullable=False),
    uint256("block_number", nullable=True),
    Column("block_hash", Text),
    PrimaryKeyConstraint("chain_id", "address"),
)
