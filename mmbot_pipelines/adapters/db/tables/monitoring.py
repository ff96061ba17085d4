"""The tables of what watches the bot: safety states, alerts, daemons, sums for metrics."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mmbot_pipelines.adapters.db.columns import Instant, SafeText
from mmbot_pipelines.adapters.db.tables.schema import at_least, metadata, one_of

_STATES = ["NORMAL", "THROTTLED", "HALTED"]

safety = Table(
    "safety",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("by_whom", SafeText, nullable=False),
    Column("why", SafeText, nullable=False),
    Column("causes", Text, nullable=False),  # of THROTTLED, separated by commas
    Column("seen_at", Instant),  # when a cause of THROTTLED was last seen
    Column("resumed_at", Instant),  # failures before count no more
    at_least("version", 0),
    one_of("state", _STATES),
)

safety_events = Table(
    "safety_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by_whom", SafeText, nullable=False),
    Column("why", SafeText, nullable=False),
    one_of("before", _STATES),
    one_of("after", _STATES),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("key", SafeText, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("lasting", Boolean, nullable=False),  # false: sent once, and never resolved
    Column("since", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("resolved_at", Instant),
    Column(
        "closed_at", Instant
    ),  # when the channel was notified of its end: nothing is left to send
    Column("taken_at", Instant),  # by the process that sends it now
    at_least("tries", 0),  # failed attempts to send it
    one_of("severity", ["CRITICAL", "HIGH", "MEDIUM", "LOW"]),
)
Index(
    "alerts_open",
    alerts.c.channel,
    alerts.c.key,
    unique=True,
    postgresql_where=alerts.c.closed_at.is_(None),
)

daemons = Table(
    "daemons",
    metadata,
    Column("name", Text, primary_key=True),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)

# Sums over whole tables: triggers append to them as rows change (migration 0011), and fold
# them together now and then. A sum is that of all rows of one name and its labels.
tallies = Table(
    "tallies",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),
    Column("value", Numeric, nullable=False),
)
