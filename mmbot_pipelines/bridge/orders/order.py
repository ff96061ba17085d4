"""One bridge order, and how a fact changes it: the fields that go with each step.

Which step follows which is the table in `lifecycle`. Pure: no clock, network or database.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from mmbot_pipelines.bridge.orders.lifecycle import NEXT, ORPHANED_HASH, Fact, Status
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.core.errors import IllegalTransition
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block

# An escrow's id is a uint256: 78 decimal digits at most.
_KEY = re.compile(rf"(?:{'|'.join(ORIGINS)}):[0-9]{{1,78}}")


_SETTLEMENT = (Fact.SETTLED, Fact.SETTLEMENT_REORGED)
_NEW_ATTEMPT = (Fact.REVERTED, Fact.LOST, Fact.UNDELIVERED, Fact.PAYMENT_REORGED)
# A claim that goes out once more goes by another name.
_CLAIM_RESENT = (Fact.SENT, Fact.CLAIM_REORGED, Fact.TRANSFER_REORGED)
_PROGRESS = (
    Fact.ACCEPTED,
    Fact.REOPENED,
    Fact.PAID,
    Fact.MINED,
    Fact.PROVEN,
    Fact.SETTLED,
    Fact.REEMITTED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order set in one escrow, and how far we have come with it."""

    origin: str  # one of ORIGINS
    number: int  # the escrow's own uint256 id: unique per origin, not overall
    recipient: Address  # on L1
    amount: Wei  # what the recipient gets
    fee: Wei  # what we earn, before gas
    block: Block  # of the L2, where the escrow logged it
    set_order_tx: TxHash
    changed_at: datetime  # UTC
    status: Status = Status.PENDING
    attempt: int = 1  # never falls: transactions are unique by it
    failures: int = 0  # since the last progress
    lost_claims: int = 0  # since a person last took the order up: a claim sent is no progress here
    failed: bool = False
    next_attempt_at: datetime | None = None  # UTC; a failed order without it is parked
    reason: str | None = None  # why it was dropped, why it last failed, or what it waits for
    waiting_since: datetime | None = None  # UTC; healthy, for the same reason since then
    transfer_tx: TxHash | None = None
    claim_tx: TxHash | None = None  # on L1, or on the L2 where a proof claims
    searched_below: int | None = None  # on L1: its payment is in no block from there on
    claim_ref: str | None = None  # what a claim under way goes by: "message 0x...", "task ..."
    settle_tx: TxHash | None = None  # on the L2, where the escrow paid us
    settle_block: Block | None = None  # of the L2, that has settle_tx
    settle_final: bool = False  # L1 has accepted that block: nothing takes it back
    claim_refund: Wei | None = None  # of its message, on the L2 with settle_tx; None: unknown
    claim_cost: Wei | None = None  # message and gas of its claim, when it was decided to fill it
    version: int = 0  # compare-and-set: the store raises it with every change

    @property
    def key(self) -> str:
        """Name the order across origins, "ORIGIN:NUMBER"."""
        return f"{self.origin}:{self.number}"

    @property
    def is_parked(self) -> bool:
        """Return whether only a person can make the order go on."""
        return self.failed and self.next_attempt_at is None

    def is_due(self, at: datetime) -> bool:
        """Return whether a run may work on the order at this time: healthy, or its wait is over."""
        return not self.failed or (self.next_attempt_at is not None and self.next_attempt_at <= at)

    @property
    def is_orphaned(self) -> bool:
        """Return whether the L2 had it in no block when it was last looked for."""
        return self.block.hash == ORPHANED_HASH

    @property
    def is_claimed(self) -> bool:
        """Return whether its claim's outcome is decided off L1: by an L2 message or a prover."""
        by_task = self.status is Status.PROVING and self.claim_ref is not None
        return by_task or self.status is Status.PROVED

    def after(
        self,
        fact: Fact,
        *,
        at: datetime,
        tx: TxHash | None = None,
        block: Block | None = None,
        refund: Wei | None = None,
        ref: str | None = None,
        reason: str | None = None,
    ) -> "Order":
        """Return the order as `fact`, proven by `tx`, leaves it: no longer failed.

        block: of the L2, in which the escrow paid us.
        ref: what a new claim goes by, where that is known before it arrives.
        refund: what a claim's message did not use and the settlement gave back, in wei.

        Raises:
            IllegalTransition: the table has no such step. A bug or a lost race,
                never a network fault.
        """
        if (self.status, fact) not in NEXT:
            raise IllegalTransition(f"{self.key}: {fact} while {self.status}")
        status = NEXT[self.status, fact]
        return replace(
            self,
            status=status,
            attempt=self.attempt + (fact in _NEW_ATTEMPT),
            failures=0 if fact in _PROGRESS else self.failures,
            failed=False,
            next_attempt_at=None,
            reason=reason,
            waiting_since=None,
            block=Block(self.block.number, ORPHANED_HASH) if fact is Fact.ORPHANED else self.block,
            transfer_tx=self._transfer_tx(status, fact, tx),
            claim_tx=tx or self.claim_tx if _claims(status, fact) else self.claim_tx,
            claim_ref=ref if fact in _CLAIM_RESENT else self.claim_ref,
            settle_tx=self._settle_tx(fact, tx),
            searched_below=None,
            settle_block=self._settle_block(fact, block),
            claim_refund=refund if fact in _SETTLEMENT else self.claim_refund,
            settle_final=self.settle_final and status is self.status,
            changed_at=at,
        )

    def with_failure(self, why: str, *, failed: bool, next_attempt_at: datetime | None) -> "Order":
        """Return the order with one more failure; its status stays what the chain proves."""
        return replace(
            self,
            failures=self.failures + 1,
            failed=failed,
            next_attempt_at=next_attempt_at,
            reason=why,
            waiting_since=None,
        )

    def _transfer_tx(self, status: Status, fact: Fact, tx: TxHash | None) -> TxHash | None:
        if fact in (Fact.REEMITTED, Fact.PAYMENT_REORGED):
            return None  # whatever was sent was for what was reorged out
        return tx or self.transfer_tx if _pays(status, fact) else self.transfer_tx

    def _settle_tx(self, fact: Fact, tx: TxHash | None) -> TxHash | None:
        if fact is Fact.SETTLEMENT_REORGED:
            return None
        return tx or self.settle_tx if fact is Fact.SETTLED else self.settle_tx

    def _settle_block(self, fact: Fact, block: Block | None) -> Block | None:
        if fact is Fact.SETTLEMENT_REORGED:
            return None
        return block or self.settle_block if fact is Fact.SETTLED else self.settle_block

    def with_failures_cleared(self) -> "Order":
        """Return the order as a person takes it up again: not failed, all attempts left."""
        return replace(
            self,
            failed=False,
            failures=0,
            lost_claims=0,
            next_attempt_at=None,
            reason=None,
            waiting_since=None,
        )

    def with_wait_reason(self, reason: str, *, at: datetime) -> "Order":
        """Return the order, healthy, with what it waits for; the same reason keeps its time."""
        same = self.reason == reason and self.waiting_since is not None
        return replace(
            self,
            failed=False,
            next_attempt_at=None,
            reason=reason,
            waiting_since=self.waiting_since if same else at,
        )


def is_key(text: str) -> bool:
    """Return whether a text has the form of an order's key.

    Text from a person or a run's configuration is repeated nowhere before this holds.
    """
    return _KEY.fullmatch(text) is not None


def _pays(status: Status, fact: Fact) -> bool:
    if fact is Fact.MINED:
        return status is Status.FULFILLED
    return fact is Fact.PAID or (fact is Fact.SENT and status is Status.TRANSFERRING)


def _claims(status: Status, fact: Fact) -> bool:
    if fact is Fact.MINED:
        return status is Status.PROVED
    return fact is Fact.PROVEN or (fact is Fact.SENT and status is Status.PROVING)
