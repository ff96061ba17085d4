"""The life of one bridge order, written as a table.

    PENDING -accepted-> PROCESSING -sent-> TRANSFERRING -mined-> FULFILLED   the user is paid
    FULFILLED -sent-> PROVING -mined-> PROVED -settled-> COMPLETED           we are paid back
    PENDING | PROCESSING -refused-> DROPPED                                  nothing was spent

A reverted or lost transaction takes the order one state back, as a new attempt; a
block that the chain takes back does so too, as the same attempt. An order that the
registry or the escrow already knows as paid is taken up where the chain has it.
A claim is a transaction of ours whose message goes to the L2, or a prover's task: then
PROVING lasts until the task is done, and PROVED until the escrow has read the proof.
Pure: no clock, network or database. A fact comes in, a new Order goes out.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from mmbot_pipelines.core.errors import IllegalStep
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block


class Status(StrEnum):
    PENDING = "PENDING"  # seen in the escrow, nothing decided
    PROCESSING = "PROCESSING"  # worth it: fee and amount pass
    TRANSFERRING = "TRANSFERRING"  # transfer stored, perhaps broadcast
    FULFILLED = "FULFILLED"  # recipient paid, our money is out
    PROVING = "PROVING"  # claim stored, perhaps broadcast
    PROVED = "PROVED"  # claim mined, its message is on the way to the L2
    COMPLETED = "COMPLETED"  # the escrow has paid us
    DROPPED = "DROPPED"  # refused before spending

    @property
    def final(self) -> bool:
        """Tell whether nothing more happens to the order by itself."""
        return self in (Status.COMPLETED, Status.DROPPED)


class Fact(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    PAID = "paid"  # the registry has our transfer already
    SENT = "sent"
    MINED = "mined"
    REVERTED = "reverted"
    LOST = "lost"  # its nonce went to another transaction
    UNMINED = "unmined"
    PROVEN = "proven"  # a prover's task is done, and the escrow is told of it
    UNDELIVERED = "undelivered"  # the claim never arrived
    SETTLED = "settled"


NEXT = {
    (Status.PENDING, Fact.ACCEPTED): Status.PROCESSING,
    (Status.PENDING, Fact.REFUSED): Status.DROPPED,
    (Status.PENDING, Fact.PAID): Status.FULFILLED,
    (Status.PROCESSING, Fact.REFUSED): Status.DROPPED,
    (Status.PROCESSING, Fact.PAID): Status.FULFILLED,
    (Status.PROCESSING, Fact.SENT): Status.TRANSFERRING,
    (Status.TRANSFERRING, Fact.MINED): Status.FULFILLED,
    (Status.TRANSFERRING, Fact.REVERTED): Status.PROCESSING,
    (Status.TRANSFERRING, Fact.LOST): Status.PROCESSING,
    (Status.FULFILLED, Fact.UNMINED): Status.TRANSFERRING,
    (Status.FULFILLED, Fact.SENT): Status.PROVING,
    (Status.FULFILLED, Fact.SETTLED): Status.COMPLETED,
    (Status.PROVING, Fact.MINED): Status.PROVED,
    (Status.PROVING, Fact.REVERTED): Status.FULFILLED,
    (Status.PROVING, Fact.LOST): Status.FULFILLED,
    (Status.PROVING, Fact.PROVEN): Status.PROVED,
    (Status.PROVING, Fact.UNDELIVERED): Status.FULFILLED,
    (Status.PROVING, Fact.SETTLED): Status.COMPLETED,
    (Status.PROVED, Fact.UNMINED): Status.PROVING,
    (Status.PROVED, Fact.UNDELIVERED): Status.FULFILLED,
    (Status.PROVED, Fact.SETTLED): Status.COMPLETED,
}

_NEW_ATTEMPT = (Fact.REVERTED, Fact.LOST, Fact.UNDELIVERED)
_PROGRESS = (Fact.ACCEPTED, Fact.PAID, Fact.MINED, Fact.PROVEN, Fact.SETTLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order set in one escrow, and how far we have come with it."""

    origin: str  # "zksync" or "starknet"
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
    failed: bool = False
    next_attempt_at: datetime | None = None  # UTC; a failed order without it is parked
    reason: str | None = None  # why it was dropped, why it last failed, or what it waits for
    transfer_tx: TxHash | None = None
    claim_tx: TxHash | None = None  # on L1, or on the L2 where a proof claims
    claim_ref: str | None = None  # what a claim under way goes by: "message 0x...", "task ..."
    settle_tx: TxHash | None = None  # on the L2, where the escrow paid us
    version: int = 0  # compare-and-set: the store raises it with every change

    @property
    def key(self) -> str:
        """Name the order across origins, e.g. "zksync:42"."""
        return f"{self.origin}:{self.number}"

    @property
    def parked(self) -> bool:
        """Tell whether only a person can make the order go on."""
        return self.failed and self.next_attempt_at is None

    @property
    def claimed(self) -> bool:
        """Tell whether its claim is on a way that no transaction of ours tells the end of."""
        by_task = self.status is Status.PROVING and self.claim_ref is not None
        return by_task or self.status is Status.PROVED

    def after(
        self,
        fact: Fact,
        *,
        at: datetime,
        tx: TxHash | None = None,
        ref: str | None = None,
        reason: str | None = None,
    ) -> "Order":
        """Return the order as `fact`, proven by `tx`, leaves it: no longer failed.

        ref: what a new claim goes by, where that is known before it arrives.

        Raises:
            IllegalStep: the table has no such step. A bug or a lost race,
                never a network fault.
        """
        if (self.status, fact) not in NEXT:
            raise IllegalStep(f"{self.key}: {fact} while {self.status}")
        status = NEXT[self.status, fact]
        return replace(
            self,
            status=status,
            attempt=self.attempt + (fact in _NEW_ATTEMPT),
            failures=0 if fact in _PROGRESS else self.failures,
            failed=False,
            next_attempt_at=None,
            reason=reason,
            transfer_tx=tx or self.transfer_tx if _pays(status, fact) else self.transfer_tx,
            claim_tx=tx or self.claim_tx if _claims(status, fact) else self.claim_tx,
            claim_ref=ref if fact in (Fact.SENT, Fact.UNMINED) else self.claim_ref,
            settle_tx=tx or self.settle_tx if fact is Fact.SETTLED else self.settle_tx,
            changed_at=at,
        )

    def failing(self, why: str, *, failed: bool, next_attempt_at: datetime | None) -> "Order":
        """Return the order with one more failure; its status stays what the chain proves."""
        return replace(
            self,
            failures=self.failures + 1,
            failed=failed,
            next_attempt_at=next_attempt_at,
            reason=why,
        )

    def cleared(self) -> "Order":
        """Return the order as a person takes it up again: not failed, all attempts left."""
        return replace(self, failed=False, failures=0, next_attempt_at=None, reason=None)


def _pays(status: Status, fact: Fact) -> bool:
    return fact is Fact.PAID or (fact is Fact.SENT and status is Status.TRANSFERRING)


def _claims(status: Status, fact: Fact) -> bool:
    return fact is Fact.PROVEN or (fact is Fact.SENT and status is Status.PROVING)
