"""What the audit of a running bot needs, checks and returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.ports.audit import AuditRecords, PaymentLog
from mmbot_pipelines.bridge.ports.reports import Reports
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Account

HEADS_AGE = timedelta(minutes=10)  # within which cursors must reach what was the newest block


class Check(StrEnum):
    """What is checked; a name in the UI."""

    STORED = "orders_of_the_escrow_are_stored"
    CONTIGUOUS = "order_ids_are_contiguous"
    CURSORS = "cursors_keep_up"
    PUNCTUAL = "no_order_is_overdue"
    PAYMENTS = "payments_match_orders"
    HISTORY = "histories_are_legal"
    OUTBOX = "outbox_equals_chain"
    NONCES = "no_nonce_gap"
    BALANCE = "balance_equals_movements"
    EXPOSURE = "exposure_within_limit"
    FUNDS = "funds_for_the_next_hours"


OF_ORIGIN = (
    Check.STORED,
    Check.CONTIGUOUS,
    Check.CURSORS,
    Check.PUNCTUAL,
    Check.PAYMENTS,
    Check.HISTORY,
)
OF_PAYMENTS = (Check.PAYMENTS, Check.HISTORY)
OF_WALLET = (Check.OUTBOX, Check.NONCES, Check.BALANCE, Check.EXPOSURE, Check.FUNDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: Check
    scope: str  # an origin, or GLOBAL: the wallet
    checked: int  # things
    problems: Sequence[str]  # each names keys and amounts
    is_grave: bool = True  # a problem is an error; else a warning
    figures: Mapping[str, int] = field(default_factory=dict)
    amounts: Mapping[str, Wei] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an audit saw, for the next one."""

    accounts: Mapping[Address, Account]  # of each wallet
    heads: Mapping[str, Mapping[str, int]]  # newest blocks, by origin and cursor
    heads_at: datetime  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """What the audit of a running bot needs."""

    bridge: Bridge
    records: AuditRecords
    payments: PaymentLog
    reports: Reports
    blocks: int  # of each chain, final, that are read again


def of_all(by_wallet: Mapping[Address, Finding]) -> Finding:
    """Return what one check found of each wallet as one finding; their numbers are named by it."""
    first, *others = by_wallet.values()
    if not others:
        return first
    return replace(
        first,
        checked=sum(one.checked for one in by_wallet.values()),
        problems=[problem for one in by_wallet.values() for problem in one.problems],
        is_grave=any(one.is_grave for one in by_wallet.values() if one.problems),
        figures={f"{n}, {w}": v for w, one in by_wallet.items() for n, v in one.figures.items()},
        amounts={f"{n}, {w}": v for w, one in by_wallet.items() for n, v in one.amounts.items()},
        note="; ".join(dict.fromkeys(one.note for one in by_wallet.values() if one.note)),
    )


def unknown(check: Check, scope: str, why: Failure) -> Finding:
    problem = f"not checked: {why}"
    return Finding(check=check, scope=scope, checked=0, problems=[problem], is_grave=False)
