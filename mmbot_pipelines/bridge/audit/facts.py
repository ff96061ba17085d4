"""What the audit compares: facts of the chains and facts of the database, as plain values. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.core.outbox import TxState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """How much a user has locked for which recipient."""

    recipient: int  # on L1
    amount: int  # wei
    fee: int  # wei

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return the terms of an order."""
        return cls(recipient=int(order.recipient, 16), amount=order.amount, fee=order.fee)

    def __str__(self) -> str:
        return (
            f"{format_ether(self.amount)} for {self.recipient:#042x} "
            f"with a fee of {format_ether(self.fee)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTransfer:
    """One Transfer event of the registry."""

    key: str  # of the order, "ORIGIN:NUMBER"
    recipient: int
    amount: int  # wei

    def __str__(self) -> str:
        return f"{format_ether(self.amount)} to {self.recipient:#042x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedTransaction:
    """One transaction of the wallet in a block of L1."""

    hash: str
    nonce: int
    succeeded: bool
    gas_cost: int  # wei


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFacts:
    """What the chains hold, since the audited period began."""

    # by the order's key, as the escrows log them
    locked: Mapping[str, OrderTerms] = field(default_factory=dict)
    payments: Sequence[RegistryTransfer] = ()
    transactions: Sequence[MinedTransaction] = ()
    nonces: range = range(0)  # of the wallet's mined transactions
    wallet_change: int = 0  # of the wallet's balance on L1, wei
    # of the wallet's balance on each origin, wei
    origin_changes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrder:
    key: str
    origin: str
    terms: OrderTerms
    status: Status
    failed: bool
    parked: bool
    reason: str | None
    claim_refund: int  # wei

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return what the audit compares of an order."""
        return cls(
            key=order.key,
            origin=order.origin,
            terms=OrderTerms.of(order),
            status=order.status,
            failed=order.failed,
            parked=order.is_parked,
            reason=order.reason,
            claim_refund=order.claim_refund or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTransaction:
    """One row of the outbox."""

    subject: str
    hash: str
    nonce: int
    state: TxState
    value: int  # wei
    gas_cost: int  # wei; 0 while undecided
    serves: Sequence[str] = ()  # keys of orders, where they are several
    pays: Sequence[str] = ()  # keys of orders whose recipients it pays, if it is mined


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One row of an order's history."""

    key: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFacts:
    """What the database holds, read in one snapshot."""

    orders: Sequence[StoredOrder]
    events: Sequence[StoredEvent]  # oldest first
    errors: Sequence[tuple[str, str | None]]  # subject and run id
    transactions: Sequence[StoredTransaction]
    failed_runs: Sequence[tuple[str, str]]  # run id and order key, as Dagster has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One invariant, how many things it was checked on, and what violates it."""

    name: str
    checked: int
    violations: Sequence[str]
